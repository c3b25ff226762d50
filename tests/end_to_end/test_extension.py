# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip as a user gets it: built, checked, installed into an empty profile and used there."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.worker_python import WORKER_PYTHON

ROOT = Path(__file__).resolve().parents[2]
USE = Path(__file__).with_name("use_extension.py")

pytestmark = [pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bpy", reason="needs the bpy wheel")
    sys.path.insert(0, str(ROOT / "scripts"))
    import build_extension

    return build_extension.build(tmp_path_factory.mktemp("dist"))


def test_the_zip_holds_both_packages_and_nothing_of_the_workshop(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    assert {"addon/session.py", "neural_backend/worker/__main__.py"} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"tests", "scripts", "docs", "demo", "dist", ".venv", ".ci", ".gitignore"}
    assert archive.stat().st_size < 2_000_000


def test_a_broken_manifest_is_refused_by_the_packager(tmp_path: Path, archive: Path) -> None:
    import build_extension

    (tmp_path / "blender_manifest.toml").write_text('schema_version = "1.0.0"\n', encoding="utf-8")
    with pytest.raises(build_extension.BuildError, match="missing"):
        build_extension.run_packager("validate", str(tmp_path))


def test_a_field_is_trained_meshed_and_rendered_through_the_installed_copy(
    archive: Path, tmp_path: Path
) -> None:
    """From a scene to a saved file with its results, in one go; then the file is opened again."""
    profile = tmp_path / "profile"
    profile.mkdir()
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    variables |= {
        "BLENDER_USER_RESOURCES": str(profile),
        "NEURAL_FIELDS_PYTHON": str(WORKER_PYTHON),
    }
    # So small a network is slower on more threads.
    variables["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, str(USE), str(archive), str(tmp_path / "Mein Projekt")],
        capture_output=True,
        text=True,
        timeout=350,
        env=variables,
        cwd=tmp_path,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    found = json.loads((tmp_path / "Mein Projekt" / "found.json").read_text(encoding="utf-8"))
    assert found["package"] == "bl_ext.user_default.neural_fields"
    assert found["heavy_modules"] == []
    assert found["sys_path_added"] == []
    assert found["backend"].startswith(str(profile))
    assert found["run"] == "//run"
    assert found["run_state"] == "trained"
    assert found["num_vertices"] > 3
    assert found["has_colors"]
    assert found["background"] == "//run/outputs/views/view_0002.png"
    assert found["background_frames"] == [2, 3]
    assert not found["operators_after_disabling"]
