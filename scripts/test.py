#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up `.venv`, checks style and types, runs the test suite; hands its arguments to pytest."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import check
import environment


def main(arguments: list[str]) -> int:
    """Returns 0 where everything passed, 1 otherwise."""
    environment.enter()
    failed_checks = check.main()
    tests = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=environment.ROOT)
    if failed_checks:
        sys.stdout.write(f"{failed_checks} of the checks before the tests failed.\n")
    return int(bool(failed_checks or tests.returncode))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
