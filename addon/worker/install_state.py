# SPDX-License-Identifier: GPL-3.0-or-later
"""What is complete of an installation, on disk, so that the next one goes on from there."""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from .install_plan import Plan, Step
from .protocol import JobError

FILE = "installation.json"
LOCK = "installation.lock"


@dataclass
class InstallState:
    """The stamp. `changing` names a step that was changing the environment when it was last heard
    of: where it still stands there, the environment may be torn.
    """

    build: str = ""
    done: dict[str, str] = field(default_factory=dict)
    """Finished steps and what they consisted of."""
    changing: str = ""
    is_complete: bool = False

    def has(self, step: Step) -> bool:
        return self.done.get(step.key) == step.fingerprint

    def is_for(self, plan: Plan) -> bool:
        """Whether all that the plan cannot do without is there."""
        missing = [step for step in plan.steps if not (step.is_optional or self.has(step))]
        return self.is_complete and self.build == plan.build and not missing


def read_state(folder: Path) -> InstallState:
    """What is known of a folder; a file that cannot be read counts as none."""
    try:
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return InstallState(**values)
    except (OSError, ValueError, TypeError):
        return InstallState()


def write_state(folder: Path, state: InstallState) -> None:
    """Writes beside and renames, so that the file is whole at any moment."""
    beside = folder / (FILE + ".new")
    beside.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    beside.replace(folder / FILE)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keeps another Blender from installing into the same folder meanwhile.

    The system lets go of it when this process ends, however that comes about.

    Raises:
        JobError: where another one does.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError as error:
            raise JobError(
                "Another Blender is installing into this folder.", "Wait for its end."
            ) from error
        yield


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
