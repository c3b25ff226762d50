# SPDX-License-Identifier: GPL-3.0-or-later
"""Run folders of fields that are known exactly, made by the Python that has torch."""

import json
from pathlib import Path
from typing import Any

from tests.worker_python import run_with_backend

MAKE = (
    "import json, sys; from pathlib import Path; from tests.{module} import {name} as make; "
    "print(make(Path(sys.argv[1]), **json.loads(sys.argv[2])).path)"
)


def make_run(folder: Path, **options: Any) -> Path:
    """The folder of a run of `tests.analytic_run.make_run`."""
    return _made("analytic_run", "make_run", folder, options)


def make_moving_run(folder: Path, **options: Any) -> Path:
    """The folder of a run of `tests.analytic_motion.make_moving_run`."""
    return _made("analytic_motion", "make_moving_run", folder, options)


def _made(module: str, name: str, folder: Path, options: dict[str, Any]) -> Path:
    program = MAKE.format(module=module, name=name)
    return Path(run_with_backend(program, folder, json.dumps(options)).strip())
