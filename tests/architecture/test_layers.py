# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the layer tables of docs/ARCHITECTURE.md, by reading every import of both packages."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ROWS = (
    {"protocol"},
    {"geometry", "kernels"},
    {"encodings", "networks", "sampling", "rendering", "meshing"},
    {"fields", "datasets"},
    {"training"},
    {"methods"},
    {"jobs"},
    {"worker", "api", "api_shapes", "progress_display"},
    {"cli"},
    {"__main__", "__init__"},
)
ROW_OF = {folder: row for row, folders in enumerate(ROWS) for folder in folders}
BLENDER = {
    "bpy", "bmesh", "mathutils", "gpu", "gpu_extras", "blf", "bl_ext", "addon_utils", "bpy_extras",
}  # fmt: skip
HEAVY = {
    "torch", "numba", "triton", "scipy", "trimesh", "PIL", "imageio", "mcubes", "igl",
    "safetensors",
}  # fmt: skip


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in the file; relative ones from the root."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*start, alias.name]) for alias in node.names)


def layer(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[1]


def outside(name: str, *allowed: str) -> bool:
    return not any(name == start or name.startswith(start + ".") for start in allowed)


def test_every_backend_folder_has_a_row() -> None:
    assert {layer(path) for path in modules("neural_backend")} <= ROW_OF.keys()


@pytest.mark.parametrize("path", modules("neural_backend"), ids=lambda path: path.stem)
def test_a_backend_folder_imports_itself_and_the_rows_above_it(path: Path) -> None:
    for name in imports(path):
        if name.startswith("neural_backend."):
            other = name.split(".")[1]
            if other in ROW_OF and other != layer(path):
                assert ROW_OF[other] < ROW_OF[layer(path)], f"{layer(path)} imports {name}"


@pytest.mark.parametrize("path", modules("neural_backend"), ids=lambda path: path.stem)
def test_the_backend_knows_no_blender_and_no_add_on(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & (BLENDER | {"addon"})


@pytest.mark.parametrize("path", modules("neural_backend/protocol"), ids=lambda path: path.stem)
def test_the_protocol_needs_only_the_standard_library(path: Path) -> None:
    for name in imports(path):
        allowed = name.split(".")[0] in sys.stdlib_module_names
        assert allowed or not outside(name, "neural_backend.protocol"), name


@pytest.mark.parametrize("path", modules("addon"), ids=lambda path: path.stem)
def test_the_add_on_never_brings_torch_into_blender(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & HEAVY


@pytest.mark.parametrize("path", modules("addon"), ids=lambda path: path.stem)
def test_only_the_add_ons_worker_folder_sees_the_backend_and_only_its_protocol(path: Path) -> None:
    backend = [name for name in imports(path) if not outside(name, "neural_backend")]
    if layer(path) == "worker":
        backend = [name for name in backend if outside(name, "neural_backend.protocol")]
    assert not backend


@pytest.mark.parametrize("path", modules("addon"), ids=lambda path: path.stem)
def test_each_add_on_folder_imports_only_what_its_line_of_the_table_says(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        if layer(path) == "worker" and top not in sys.stdlib_module_names:
            assert not outside(name, "addon.worker", "neural_backend.protocol"), name
        if layer(path) == "scene" and top not in sys.stdlib_module_names | BLENDER | {"numpy"}:
            assert not outside(name, "addon.scene", "addon.compat"), name
        if layer(path) in ("panels", "engine"):
            assert outside(name, "addon.operators"), name
        if layer(path) not in ("panels", "__init__"):
            assert outside(name, "addon.panels"), name


@pytest.mark.parametrize("path", modules("addon/panels"), ids=lambda path: path.stem)
def test_what_draws_reads_no_files_and_starts_no_processes(path: Path) -> None:
    """The interface is drawn many times a second, so panels show what was read before."""
    slow = {"glob", "io", "json", "os", "shutil", "subprocess", "tempfile", "time", "urllib"}
    assert not {name.split(".")[0] for name in imports(path)} & slow


def test_the_rules_see_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that reads no import would hold for anything."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    folder = tmp_path / "neural_backend" / "fields"
    folder.mkdir(parents=True)
    path = folder / "sly.py"
    path.write_text(
        "import torch.nn\nfrom ..jobs import run\n"
        "def later():\n    from ..methods.registry import METHODS\n    from . import nerf\n",
        encoding="utf-8",
    )
    assert set(imports(path)) == {
        "torch.nn",
        "neural_backend.jobs.run",
        "neural_backend.methods.registry.METHODS",
        "neural_backend.fields.nerf",
    }
    with pytest.raises(AssertionError, match=r"fields imports neural_backend\.jobs"):
        test_a_backend_folder_imports_itself_and_the_rows_above_it(path)


def test_what_the_add_ons_tests_need_of_the_backend_needs_no_torch() -> None:
    """They run in Blender's own Python; the jobs import torch once they begin."""
    program = (
        "import sys; sys.modules['torch'] = None; "
        "import neural_backend.jobs, neural_backend.jobs.view_files"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
