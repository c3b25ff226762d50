#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension's zip with Blender's own packager, checks it and prints its path."""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment

ROOT = environment.ROOT
NEEDED = ("__init__.py", "blender_manifest.toml", "addon/__init__.py", "neural_backend/__init__.py")
KEPT_OUT = ("tests/", "scripts/", "docs/", "demo/", "dist/", "runs/", ".")


class BuildError(Exception):
    """Says what is wrong with the extension or the packager."""


def packager() -> Path:
    """Blender's command for extensions, which works without Blender.

    Raises:
        BuildError: where the bpy wheel is not installed.
    """
    site = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = site if site.is_dir() else Path(sys.prefix) / "Lib"
    pattern = "site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = sorted(site.glob(pattern))
    if not found:
        raise BuildError(f"There is no bpy wheel in {sys.prefix}: run scripts/environment.py.")
    return found[-1]


def run_packager(*arguments: str) -> str:
    """What the packager says. Raises BuildError where it finds fault."""
    done = subprocess.run(
        [sys.executable, "-I", str(packager()), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        raise BuildError(f"Blender's packager refused:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """The zip of this checkout in `folder`; an older one of the same version is replaced.

    Raises:
        BuildError: where the manifest or the contents are not right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build_") as workshop:
        run_packager("build", "--source-dir", str(ROOT), "--output-dir", workshop)
        (made,) = Path(workshop).glob("*.zip")
        run_packager("validate", str(made))
        check_contents(made)
        archive = folder / made.name
        made.replace(archive)
    return archive


def check_contents(archive: Path) -> None:
    """Raises BuildError where something is missing, or something of the developers' is inside."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    missing = [name for name in NEEDED if name not in names]
    strangers = [
        name
        for name in names
        if name.startswith(KEPT_OUT) or "__pycache__" in name or ".egg-info" in name
    ]
    if missing or strangers:
        raise BuildError(f"{archive.name} lacks {missing} and should not hold {strangers[:5]}.")


def main() -> int:
    """Returns 0 where the zip is built, 1 where something is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "dist", help="folder for the zip (default: dist)"
    )
    arguments = parser.parse_args()
    environment.enter()
    try:
        archive = build(arguments.output.absolute())
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{archive}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
