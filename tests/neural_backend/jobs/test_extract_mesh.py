# SPDX-License-Identifier: GPL-3.0-or-later
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from neural_backend.geometry.surface_samples import sample_surface
from neural_backend.jobs import start
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import ExtractMesh, MeshReady, Progress, Warned
from tests.analytic_run import make_run


def extract(run_path: Path, **options) -> tuple[MeshReady, list]:
    events = list(start(ExtractMesh(run=str(run_path), resolution=48, **options)))
    assert isinstance(events[-1], MeshReady)
    return events[-1], events


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return make_run(tmp_path).path


@pytest.mark.parametrize(
    ("surface", "within_cells", "stage"),
    [("density", 0.1, "choosing the level"), ("depth", 0.3, "rendering depths")],
)
def test_the_mesh_is_the_scenes_in_place_with_its_colors(
    run_path: Path, surface: str, within_cells: float, stage: str
) -> None:
    ready, events = extract(run_path, keep_unseen=True, surface=surface)
    assert Path(ready.output) == run_path / "outputs" / "mesh.ply"
    mesh = trimesh.load_mesh(ready.output, process=False)
    assert (len(mesh.vertices), len(mesh.faces)) == (ready.num_vertices, ready.num_faces)
    assert mesh.is_watertight
    assert mesh.volume > 0
    points, _ = sample_surface(mesh.vertices, mesh.faces, 20000, torch.Generator())
    distance = np.abs(np.linalg.norm(points, axis=1) - 0.7)
    seen = points[:, 2] > -0.4  # all eight cameras stand above
    assert distance[seen].mean() < within_cells * 2 / 48
    colors = mesh.visual.vertex_colors[:, :3] / 255
    above = mesh.vertices[:, 2] > -0.4
    np.testing.assert_allclose(colors[above], mesh.vertices[above] / 2 + 0.5, atol=0.05)
    assert (ready.level > 0) == (surface == "density")
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert {stage, "finding the surface", "normals", "colors"} <= set(stages)


def test_a_level_asks_for_the_surface_of_that_density_and_else_many_cameras_decide(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_backend.jobs import field_surface

    assert extract(run_path)[0].level > 0  # seven views leave too much unseen
    monkeypatch.setattr(field_surface, "_FEWEST_VIEWS", 7)
    assert extract(run_path)[0].level == 0.0
    assert extract(run_path, level=50.0)[0].level == 50.0


def test_a_field_that_takes_minutes_to_render_is_meshed_from_density_and_says_so(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_backend.jobs import field_surface

    monkeypatch.setattr(field_surface, "_FEWEST_VIEWS", 7)
    monkeypatch.setattr(field_surface, "seconds_to_render", lambda *arguments: 1200.0)
    ready, events = extract(run_path)
    assert ready.level > 0
    assert any("20 minutes" in event.message for event in events if isinstance(event, Warned))
    assert extract(run_path, surface="depth")[0].level == 0.0


def test_floaters_are_left_out_unless_all_parts_are_asked_for(tmp_path: Path) -> None:
    run_path = make_run(tmp_path, scene="two_spheres").path
    ready, _ = extract(run_path)
    assert trimesh.load_mesh(ready.output).bounds[1].max() < 0.65
    ready, _ = extract(run_path, keep_components=0.0)
    np.testing.assert_allclose(trimesh.load_mesh(ready.output).bounds[1], 0.85, atol=0.02)


def test_what_no_camera_sees_is_left_out(run_path: Path) -> None:
    """All cameras stand above; the lowest point a camera at height 1.5 and distance 3 can see."""
    ready, events = extract(run_path)
    mesh = trimesh.load_mesh(ready.output, process=False)
    assert mesh.bounds[1, 2] == pytest.approx(0.7, abs=0.01)
    assert -0.65 < mesh.bounds[0, 2] < -0.4
    assert "removing hidden parts" in {e.stage for e in events if isinstance(e, Progress)}


def test_a_crop_box_and_a_level_are_honoured(run_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "ä half.ply"
    ready, events = extract(
        run_path,
        output=str(output),
        level=123.0,
        crop_min=(0.0, -1.0, -1.0),
        crop_max=(1.0, 1.0, 1.0),
        colors=False,
        keep_unseen=True,
    )
    assert ready.level == 123.0
    assert Path(ready.output) == output
    mesh = trimesh.load_mesh(output, process=False)
    assert mesh.bounds[0, 0] == 0.0
    assert mesh.is_watertight
    assert not mesh.visual.defined
    assert "choosing the level" not in {e.stage for e in events if isinstance(e, Progress)}


def test_a_run_whose_pictures_are_gone_still_gives_its_mesh(run_path: Path) -> None:
    shutil.rmtree(run_path.parent / "capture")
    ready, events = extract(run_path)
    assert ready.num_faces > 1000
    assert any("cameras" in event.message for event in events if isinstance(event, Warned))
    with pytest.raises(JobError, match="no depths"):
        extract(run_path, surface="depth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "mesh.stl"}, r"\.glb"),
        ({"crop_min": (1.0, 2.0)}, "three numbers"),
        ({"crop_min": (5.0, 5.0, 5.0), "crop_max": (6.0, 6.0, 6.0)}, "holds nothing"),
        ({"level": 1e9}, "no surface"),
        ({"surface": "guess"}, "auto, depth, density"),
    ],
)
def test_impossible_options_are_explained(run_path: Path, options: dict, message: str) -> None:
    with pytest.raises(JobError, match=message):
        extract(run_path, **options)


def test_a_resolution_beyond_reason_is_explained(run_path: Path) -> None:
    with pytest.raises(JobError, match="from 2 to"):
        list(start(ExtractMesh(run=str(run_path), resolution=100000)))


def test_an_empty_field_is_explained(tmp_path: Path) -> None:
    # So soft that the solid is fog, which stops no light.
    run_path = make_run(tmp_path, softness=1e9).path
    from neural_backend.jobs import field_surface

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field_surface, "choose_level", lambda *arguments: None)
        with pytest.raises(JobError, match="stops no light"):
            extract(run_path, surface="density")


def test_a_texture_lies_beside_a_mesh_that_was_simplified(run_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "surface.ply"
    ready, events = extract(
        run_path, output=str(output), texture_size=128, keep_faces=0.2, keep_unseen=True
    )
    assert Path(ready.texture) == output.with_suffix(".png")
    full, _ = extract(run_path, output=str(tmp_path / "full.ply"), keep_unseen=True)
    assert ready.num_faces == pytest.approx(0.2 * full.num_faces, rel=0.02)
    assert full.texture == ""
    stages = {event.stage for event in events if isinstance(event, Progress)}
    assert {"simplifying", "unwrapping", "baking the texture"} <= stages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texture_size": 5}, "5 pixels a side"),
        ({"texture_size": 64, "output": "mesh.obj"}, "cannot hold a texture"),
        ({"keep_faces": 0.0}, "cannot keep 0"),
    ],
)
def test_textures_and_shares_that_cannot_be_are_refused(
    run_path: Path, options: dict, message: str
) -> None:
    with pytest.raises(JobError, match=message):
        extract(run_path, **options)
