#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks style and types: ruff's rules, ruff's format and mypy over both packages."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy", "--no-error-summary"],
)


def main() -> int:
    """Returns how many of the checks failed."""
    environment.enter()
    failed = []
    for check in CHECKS:
        name = " ".join(check)
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        if subprocess.run([sys.executable, "-m", *check], cwd=environment.ROOT).returncode != 0:
            failed.append(name)
    sys.stdout.write(
        f"Failed: {', '.join(failed)}\n" if failed else "Style and types are in order.\n"
    )
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
