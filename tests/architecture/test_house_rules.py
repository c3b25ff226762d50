# SPDX-License-Identifier: GPL-3.0-or-later
"""House rules that a program can check, and what importing the backend may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LICENCE = "# SPDX-License-Identifier: GPL-3.0-or-later"
FORBIDDEN_IMPORTS = {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "os.system", "os.popen"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PRODUCT = files("neural_backend", "addon")
EVERYTHING = [ROOT / "__init__.py", *PRODUCT, *files("scripts", "tests")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_files_state_their_licence_and_stay_readable_at_one_sitting(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert LICENCE in lines[:2]
    assert len(lines) <= 400
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_functions_stay_short(path: Path) -> None:
    # What a compiled kernel carries from sample to sample of a ray are its local variables.
    limit = 130 if path.stem.endswith(("_numba", "_triton")) else 60
    for node in code(path):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            body = node.end_lineno - node.body[0].lineno
            assert body <= limit, f"{node.name} has {body} lines"


@pytest.mark.parametrize("path", [*PRODUCT, *files("scripts")], ids=name_of)
def test_nothing_runs_code_from_data(path: Path) -> None:
    for node in code(path):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_IMPORTS
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").split(".")[0] not in FORBIDDEN_IMPORTS
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS
            if not ast.unparse(node.func).startswith("subprocess."):
                continue
            for keyword in node.keywords:
                through_shell = keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
                assert not through_shell, f"line {node.lineno}"


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_no_exception_is_swallowed_whole(path: Path) -> None:
    """Who catches everything must raise it again or hand it on."""
    for node in code(path):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in {"everything", "BaseException"}:
                inside = [inner for part in node.body for inner in ast.walk(part)]
                kept = any(
                    isinstance(inner, ast.Raise)
                    or (isinstance(inner, ast.Name) and inner.id == node.name)
                    for inner in inside
                )
                assert kept, f"line {node.lineno} catches {caught} and goes on"


@pytest.mark.parametrize("module", ["neural_backend", "neural_backend.protocol.messages"])
def test_importing_the_backend_costs_neither_torch_nor_numpy(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'numpy', 'numba', 'triton', 'scipy', 'PIL', 'bpy'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
