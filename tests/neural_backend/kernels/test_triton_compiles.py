# SPDX-License-Identifier: GPL-3.0-or-later
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neural_backend

KERNELS = Path(neural_backend.__file__).parent / "kernels"


def launched_kernels() -> set[str]:
    """Kernels of the package that are launched with a grid, not called by others."""
    names = set()
    for path in KERNELS.glob("*_triton.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            launch = isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript)
            if launch and isinstance(node.func.value, ast.Name):
                names.add(node.func.value.id)
    return names


@pytest.mark.slow
def test_every_kernel_becomes_machine_code_for_a_card_that_need_not_be_there(tmp_path):
    pytest.importorskip("triton", reason="Triton is made for Linux alone")
    environment = {
        **{key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"},
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(KERNELS.parents[1]),
    }
    command = [sys.executable, str(Path(__file__).with_name("compile_triton.py")), "90"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(done.stdout.split()[1:]) == launched_kernels()
