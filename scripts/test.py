#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up `.venv`, checks style and types, runs the test suite; hands its arguments to pytest.

With `--all-blenders` or `--blenders` it runs the add-on's tests alone, on these versions. Where the
variable CI is set, it runs them on the oldest and the newest Blender after the suite.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import blenders
import check
import environment

MOST_PROCESSES = 4
"""Each holds a Blender and starts workers, of one or two gigabytes together."""

WHOLE_SUITE = (
    f"--numprocesses={min(os.cpu_count() or 1, MOST_PROCESSES)}",
    "--dist=loadfile",
    "--no-loadscope-reorder",  # which would leave the few long tests for the end
)


def main(arguments: list[str]) -> int:
    """Returns 0 where everything passed, 1 otherwise."""
    versions, for_pytest = parse(arguments)
    environment.enter()
    if versions:
        return int(not all(one.is_green for one in blenders.run(versions, for_pytest)))
    failed_checks = check.main()
    command = [sys.executable, "-m", "pytest", *(for_pytest or WHOLE_SUITE)]
    tests = subprocess.run(command, cwd=environment.ROOT)
    others = []
    if os.environ.get("CI") and not for_pytest:
        others = blenders.run_oldest_and_newest()
    if failed_checks:
        sys.stdout.write(f"{failed_checks} of the checks before the tests failed.\n")
    return int(bool(failed_checks or tests.returncode or not all(one.is_green for one in others)))


def parse(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The versions of Blender that were asked for, and what is pytest's."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    known = ", ".join(blenders.PYTHON_OF)
    parser.add_argument(
        "--all-blenders",
        action="store_const",
        dest="versions",
        const=list(blenders.PYTHON_OF),
        default=[],
        help=f"test the add-on on Blender {known}",
    )
    parser.add_argument(
        "--blenders",
        dest="versions",
        metavar="VERSIONS",
        type=version_list,
        help="test the add-on on some of them, such as 4.2,5.2",
    )
    options, for_pytest = parser.parse_known_args(arguments)
    return options.versions, for_pytest


def version_list(text: str) -> list[str]:
    """Raises ArgumentTypeError where one of them is unknown."""
    versions = [part.strip() for part in text.split(",")]
    for version in versions:
        if version not in blenders.PYTHON_OF:
            known = ", ".join(blenders.PYTHON_OF)
            raise argparse.ArgumentTypeError(f"no Blender {version!r} here; known: {known}")
    return versions


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
