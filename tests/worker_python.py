# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that has torch: this one, unless the tests run in another Blender's environment.

Such an environment holds Blender and little else, as Blender's own Python does; what needs the
backend's packages happens in a process of the worker's Python.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKER_PYTHON = Path(os.environ.get("NEURAL_FIELDS_PYTHON") or sys.executable)


def run_with_backend(program: str, *arguments: str | Path) -> str:
    """What a program prints that sees this checkout's packages and those of the backend."""
    done = subprocess.run(
        [str(WORKER_PYTHON), "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
