# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts several processes that work together, as a user with several cards would."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def torchrun(*command: str | Path, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs a program of Python's in so many processes; returns what they printed."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node", str(processes), *map(str, command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        launcher, capture_output=True, text=True, check=False, env=environment, timeout=240
    )
