# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import neural_backend as nf
from neural_backend.jobs import run
from neural_backend.jobs.fit_latent import free_space
from neural_backend.jobs.fit_shape import shape_names
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import (
    ExtractMesh,
    FitLatent,
    FitShape,
    Inspect,
    JobFailed,
    Progress,
    ShapesFitted,
)

TINY = ("surface=128", "near=128", "uniform=64", "slopes=32", "log2_entries=12", "levels=3")
TINY_FAMILY = (
    "width=32", "depth=4", "latent_dim=8", "shapes=3", "near=96", "uniform=32", "fit_steps=60",
    "fit_points=256", "learning_rate=5e-3", "code_rate=1e-2", "frequencies=2",
)  # fmt: skip
CENTER = (3.0, -2.0, 10.0)


def write_ball(path: Path, radius: float, center=CENTER) -> Path:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    mesh.apply_translation(center)
    mesh.export(path)
    return path


def write_box(path: Path, size) -> Path:
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(CENTER)
    mesh.export(path)
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """A run of a ball of radius 5."""
    folder = tmp_path_factory.mktemp("one")
    ball = write_ball(folder / "Große Kugel.ply", 5.0)
    nf.fit_shape(
        folder / "run", [ball], preset="draft", steps=60, samples=3000, settings=TINY, device="cpu"
    )
    return folder / "run"


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> Path:
    """A run of boxes that are low, middling and high."""
    folder = tmp_path_factory.mktemp("family")
    meshes = [
        write_box(folder / f"{name}.ply", (4.0, 4.0, height))
        for name, height in (("low", 1.0), ("middling", 2.5), ("high", 4.0))
    ]
    nf.fit_shape(
        folder / "run", meshes, preset="draft", steps=600, samples=3000, settings=TINY_FAMILY,
        device="cpu",
    )  # fmt: skip
    return folder / "run"


def extracted(run_folder: Path, output: Path, **options) -> trimesh.Trimesh:
    nf.extract_mesh(run_folder, output=output, resolution=32, device="cpu", **options)
    return trimesh.load(output, process=False)


def test_a_mesh_that_was_learned_comes_back_where_and_as_large_as_it_was(one, tmp_path):
    mesh = extracted(one, tmp_path / "mesh.ply")
    radii = np.linalg.norm(mesh.vertices - CENTER, axis=1)
    assert np.abs(radii - 5).mean() < 0.15
    assert mesh.is_watertight
    assert mesh.volume > 0
    record = RunFolder.open(one).read_record()
    assert (record.state, record.method, record.steps) == ("trained", "neural_sdf", 60)
    assert RunFolder.open(one).mesh_paths() == [one.parent / "Große Kugel.ply"]


def test_the_level_of_a_distance_is_an_offset_in_scene_units(one, tmp_path):
    larger = extracted(one, tmp_path / "large.ply", level=1.0)
    smaller = extracted(one, tmp_path / "small.ply", level=-1.0)
    radii = [np.linalg.norm(mesh.vertices - CENTER, axis=1).mean() for mesh in (larger, smaller)]
    assert radii == pytest.approx([6.0, 4.0], abs=0.4)


def test_a_crop_box_cuts_the_shape(one, tmp_path):
    mesh = extracted(one, tmp_path / "mesh.ply", crop_min=(CENTER[0], -99, -99))
    assert mesh.vertices[:, 0].min() >= CENTER[0] - 1e-4
    with pytest.raises(JobError, match="holds nothing"):
        extracted(one, tmp_path / "mesh.ply", crop_min=(90.0, 90.0, 90.0))


def test_the_events_tell_what_happens(tmp_path):
    job = FitShape(
        run=str(tmp_path / "run"),
        meshes=(str(write_ball(tmp_path / "ball.ply", 1.0)),),
        steps=3,
        samples=500,
        settings=TINY,
        device="cpu",
    )
    events = list(run(job))
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == [
        "measuring meshes",
        "compiling kernels, once",
        "preparing",
        "training",
    ]
    fitted = events[-1]
    assert isinstance(fitted, ShapesFitted)
    assert (fitted.shapes, fitted.method, fitted.steps) == (("ball",), "neural_sdf", 3)


def test_a_run_can_be_moved_and_resumed_with_a_larger_budget(one, tmp_path):
    ball = write_ball(tmp_path / "ball.ply", 1.0)
    options = {"samples": 500, "settings": TINY, "device": "cpu"}
    nf.fit_shape(tmp_path / "first", [ball], steps=3, **options)
    (tmp_path / "first").rename(tmp_path / "second")
    fitted = nf.fit_shape(tmp_path / "second", [], steps=5, resume=True, device="cpu")
    assert fitted.steps == 5
    other = write_ball(tmp_path / "other.ply", 0.5)
    with pytest.raises(JobError, match="are not the same"):
        nf.fit_shape(tmp_path / "second", [other], steps=7, resume=True, device="cpu")


def test_a_family_has_shapes_by_name_and_by_number(family, tmp_path):
    heights = []
    for number, name in enumerate(("low", "middling", "high")):
        mesh = extracted(family, tmp_path / "mesh.ply", shape=name)
        heights.append(np.ptp(mesh.vertices[:, 2]))
        again = extracted(family, tmp_path / "again.ply", shape=str(number))
        np.testing.assert_allclose(again.vertices, mesh.vertices)
    assert heights == pytest.approx([1.0, 2.5, 4.0], abs=0.5)


def test_between_two_shapes_lie_others(family, tmp_path):
    ends = {"shape": "low", "blend_to": "high"}
    middle = extracted(family, tmp_path / "mesh.ply", **ends, blend=0.5)
    assert 1.3 < np.ptp(middle.vertices[:, 2]) < 3.7
    start = extracted(family, tmp_path / "start.ply", **ends, blend=0.0)
    alone = extracted(family, tmp_path / "alone.ply", shape="low")
    np.testing.assert_allclose(start.vertices, alone.vertices)


def test_a_solid_may_have_a_part_that_lies_between_two_shapes(family, tmp_path):
    way = {"blend_to": "high", "blend": 0.4, "axes": [0.3]}
    asked = extracted(family, tmp_path / "asked.ply", shape="low", **way)
    path = tmp_path / "solid.json"
    path.write_text(json.dumps({"type": "file", "path": f"{family}#low", **way}))
    nf.mesh_shape(path, tmp_path / "solid.ply", resolution=48, device="cpu")
    solid = trimesh.load(tmp_path / "solid.ply", process=False)
    assert np.abs(solid.bounds - asked.bounds).max() < 0.1
    alone = extracted(family, tmp_path / "alone.ply", shape="low")
    assert np.abs(solid.bounds - alone.bounds).max() > 0.2


def test_a_step_along_the_first_axis_changes_the_height(family, tmp_path):
    heights = [
        np.ptp(
            extracted(family, tmp_path / "mesh.ply", shape="middling", axes=(step,)).vertices[:, 2]
        )
        for step in (-0.5, 0.5)
    ]
    assert abs(heights[0] - heights[1]) > 0.5
    with pytest.raises(JobError, match="2 principal axes, not 3"):
        extracted(family, tmp_path / "mesh.ply", axes=(1.0, 1.0, 1.0))


def test_a_mesh_is_found_in_the_family_and_kept_by_its_name(family, tmp_path):
    box = write_box(tmp_path / "between.ply", (4.0, 4.0, 3.2))
    found = nf.fit_latent(family, box, device="cpu")
    assert found.name == "between"
    assert found.error < 0.3
    mesh = extracted(family, tmp_path / "mesh.ply", shape="between")
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(3.2, abs=0.6)
    stored = json.loads((family / "latents.json").read_text())
    assert set(stored["between"]) == {"code", "center", "scale"}
    assert any("between" in line for line in list(run(Inspect(path=str(family))))[-1].lines)


@pytest.mark.parametrize("as_points", [False, True])
def test_half_a_mesh_is_completed(family, tmp_path, as_points):
    whole = trimesh.creation.box((4.0, 4.0, 4.0)).subdivide().subdivide()
    half = whole.submesh([np.flatnonzero(whole.triangles_center[:, 0] > 0)], append=True)
    half.apply_translation(CENTER)
    file = tmp_path / "half.ply"
    (trimesh.PointCloud(half.sample(2000)) if as_points else half).export(file)
    options = {"name": f"completed {as_points}", "partial": True, "device": "cpu"}
    nf.fit_latent(family, file, viewpoint=(CENTER[0] + 9, *CENTER[1:]), **options)
    mesh = extracted(family, tmp_path / "mesh.ply", shape=options["name"])
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([4.0] * 3, abs=1.0)


def test_free_space_lies_between_the_eye_and_what_it_sees():
    surface = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.1, 0.0]])
    eye = torch.tensor([2.0, 0.0, 0.0])
    free, clearance = free_space(surface, eye, torch.Generator().manual_seed(0))
    assert (free[:, 0] >= 0.5).all()
    assert (free[:, 0] <= 0.8).all()
    nearest = (free[:, None] - surface).norm(dim=-1).amin(dim=1)
    assert (nearest <= clearance + 1e-5).all()


def test_inspecting_tells_what_a_shape_costs(one, family):
    lines = "\n".join(list(run(Inspect(path=str(one))))[-1].lines)
    method = nf.load_shape_run(one, device="cpu").method
    assert f"numbers a shape: {method.numbers_per_shape} " in lines
    assert f"numbers of its mesh: {3 * (642 + 1280)}," in lines
    assert "numbers of a voxel grid of equal resolution (128³): 2097152" in lines
    lines = "\n".join(list(run(Inspect(path=str(family))))[-1].lines)
    assert "shapes: 3 (low, middling, high)" in lines
    assert "that all 3 have in common" in lines


def test_files_of_one_name_stay_apart():
    names = shape_names([Path("a/chair.ply"), Path("b/chair.ply"), Path("c/table.obj")])
    assert names == ["chair", "chair_2", "table"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meshes": ()}, "no mesh to learn"),
        ({"meshes": ("nowhere.ply",)}, r"no file .*nowhere\.ply"),
        ({"method": "magic"}, "no method 'magic'"),
        ({"preset": "magic"}, "no preset 'magic'"),
        ({"settings": ("magic=1",)}, "no setting 'magic'"),
        ({"samples": -1}, "cannot be measured"),
        ({"method": "neural_sdf", "meshes": ("a.ply", "b.ply")}, "one shape, not 2"),
    ],
)
def test_impossible_wishes_are_explained_and_leave_no_folder(tmp_path, changes, message):
    values = {"meshes": ("a.ply",), "device": "cpu", **changes}
    with pytest.raises(JobError, match=message):
        list(_started(FitShape(run=str(tmp_path / "run"), **values)))
    assert not (tmp_path / "run").exists()


def test_shapes_and_captures_are_not_mixed_up(one, family, tmp_path):
    with pytest.raises(JobError, match="no colours to show"):
        nf.load_run(one, device="cpu")
    with pytest.raises(JobError, match="no shape 'magic'"):
        extracted(family, tmp_path / "mesh.ply", shape="magic")
    with pytest.raises(JobError, match="no shape to blend to"):
        extracted(family, tmp_path / "mesh.ply", blend=0.5)
    with pytest.raises(JobError, match="holds one shape"):
        nf.fit_latent(one, tmp_path / "x.ply", device="cpu")
    with pytest.raises(JobError, match="learned a shape 'low'"):
        nf.fit_latent(family, tmp_path / "low.ply", device="cpu")
    with pytest.raises(JobError, match="three numbers"):
        nf.fit_latent(family, tmp_path / "x.ply", viewpoint=(1.0,), device="cpu")
    failed = list(run(FitLatent(run=str(family), mesh=str(tmp_path / "x.ply"))))[-1]
    assert isinstance(failed, JobFailed)
    failed = list(run(ExtractMesh(run=str(family), resolution=1)))[-1]
    assert "resolution of 1" in failed.message


def test_files_and_measured_shapes_are_not_mixed(tmp_path):
    from tests.simple_shapes import ball, measured

    with pytest.raises(ValueError, match="got both"):
        nf.fit_shape(tmp_path / "run", ["a.ply", measured(ball())])


def test_damaged_found_shapes_are_explained(one, tmp_path):
    file = one / "latents.json"
    file.write_text('{"a": {"code": "x"}}')
    try:
        with pytest.raises(JobError, match="is damaged"):
            nf.load_shape_run(one, device="cpu")
    finally:
        file.unlink()


def _started(job):
    from neural_backend.jobs import start

    return start(job)
