# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import pytest
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.scene.shape_runs import ShapeRun, shapes_of_run


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_run_tells_its_shapes_and_those_found_since(tmp_path: Path) -> None:
    assert shapes_of_run(tmp_path) is None
    folder = tmp_path / "checkpoints"
    write(folder / "last.json", {"checkpoint": "step_7"})
    write(folder / "step_7" / "progress.json", {"step": 7})
    write(folder / "step_7" / "config.json", {"method": "deep_sdf", "names": ["ä", "b"]})
    assert shapes_of_run(tmp_path) == ShapeRun("deep_sdf", 7, ("ä", "b"))
    write(tmp_path / "latents.json", {"c": {"code": []}})
    assert shapes_of_run(tmp_path) == ShapeRun("deep_sdf", 7, ("ä", "b"), ("c",))


def test_a_run_of_a_field_has_none_and_a_damaged_one_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    write(folder / "last.json", {"checkpoint": "step_7"})
    with pytest.raises(SceneError, match="is damaged"):
        shapes_of_run(tmp_path)
    write(folder / "step_7" / "config.json", {"method": "nerf"})
    assert shapes_of_run(tmp_path) is None
