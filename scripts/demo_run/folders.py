# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the demo puts things, and what it may replace."""

import shutil
from dataclasses import dataclass
from pathlib import Path

MARKER = ".made-by-the-demo"


class DemoError(Exception):
    """A sentence for the user: what went wrong and what to do."""


@dataclass(frozen=True)
class Folders:
    """All in one folder, so that the .blend finds its pictures wherever that is moved."""

    root: Path
    name: str = "demo"

    @classmethod
    def fresh(cls, root: Path, name: str = "demo") -> "Folders":
        """Makes the folder, or empties one that an earlier demo made; never any other.

        Raises:
            DemoError: where the folder holds something else or cannot be written.
        """
        root = root.expanduser().absolute()
        try:
            if root.exists():
                if not root.is_dir() or (any(root.iterdir()) and not (root / MARKER).is_file()):
                    raise DemoError(
                        f"{root} holds something that the demo did not make. "
                        "Choose an empty or new folder with --output."
                    )
                shutil.rmtree(root)
            root.mkdir(parents=True)
            (root / MARKER).write_text("scripts/demo.py replaces this folder.\n", encoding="utf-8")
        except OSError as error:
            raise DemoError(
                f"{root} cannot be written: {error.strerror}. Choose another folder with --output."
            ) from error
        return cls(root, name)

    @property
    def profile(self) -> Path:
        """A Blender profile of its own, with nothing in it but the installed extension."""
        return self.root / "blender_profile"

    @property
    def capture(self) -> Path:
        return self.root / "capture"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def views(self) -> Path:
        return self.root / "views"

    @property
    def stills(self) -> Path:
        return self.root / "stills"

    @property
    def blend(self) -> Path:
        return self.root / f"{self.name}.blend"

    @property
    def report(self) -> Path:
        return self.root / "report.png"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"
