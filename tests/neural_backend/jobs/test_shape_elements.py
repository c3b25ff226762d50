# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

import neural_backend as nf
from neural_backend.protocol.errors import JobError

TINY = ("elements=6", "uniform=256", "near=256")
CENTER = np.array([3.0, -2.0, 10.0])


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("elements")
    mesh = trimesh.creation.box((6.0, 3.0, 3.0))
    mesh.apply_translation(CENTER)
    mesh.export(folder / "box.ply")
    nf.fit_shape(
        folder / "run", [folder / "box.ply"], method="structured_implicit", steps=60,
        samples=3000, settings=TINY, device="cpu",
    )  # fmt: skip
    return folder / "run"


def middle(run: Path, output: Path, **options) -> np.ndarray:
    nf.extract_mesh(run, output=output, resolution=32, device="cpu", **options)
    return trimesh.load(output, process=False).bounds.mean(axis=0)


def test_elements_are_written_where_the_shape_is(box):
    elements = json.loads((box / "outputs" / "elements.json").read_text())["elements"]
    assert len(elements) == 6
    centers = np.array([one["center"] for one in elements])
    assert (np.abs(centers - CENTER) <= [4.0, 2.5, 2.5]).all()
    for one in elements:
        assert one["constant"] < 0
        assert min(one["radii"]) > 0
        assert np.linalg.norm(one["rotation"]) == pytest.approx(1.0, abs=1e-5)


def test_elements_that_are_moved_move_the_shape_and_are_not_kept(box, tmp_path):
    values = json.loads((box / "outputs" / "elements.json").read_text())
    before = middle(box, tmp_path / "before.ply")
    same = middle(box, tmp_path / "same.ply", elements=box / "outputs" / "elements.json")
    np.testing.assert_allclose(same, CENTER, atol=0.6)
    for one in values["elements"]:
        one["center"][2] += 7.0
    (tmp_path / "moved.json").write_text(json.dumps(values))
    moved = middle(box, tmp_path / "moved.ply", elements=tmp_path / "moved.json")
    np.testing.assert_allclose(moved - same, [0, 0, 7.0], atol=0.4)
    np.testing.assert_allclose(middle(box, tmp_path / "after.ply"), before, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no elements"),
        ('{"elements": []}', "expected 6 elements, got 0"),
        ('{"elements": [{"center": [1], "radii": [1], "rotation": [1], "constant": 1}]}', "3 numb"),
    ],
)
def test_files_that_do_not_fit_are_explained(box, tmp_path, text, message):
    (tmp_path / "elements.json").write_text(text)
    with pytest.raises(JobError, match=message):
        middle(box, tmp_path / "mesh.ply", elements=tmp_path / "elements.json")
    with pytest.raises(JobError, match="cannot be read"):
        middle(box, tmp_path / "mesh.ply", elements=tmp_path / "nowhere.json")
