# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from neural_backend.jobs import bake_motion, start
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.meshing.mesh import Mesh, write_mesh
from neural_backend.meshing.point_cache import read_point_cache
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import BakeMotion, MotionBaked, Progress
from tests.analytic_motion import MovingMethod, make_moving_run, moving_method
from tests.analytic_run import make_run

MOTION = {"turn": 2.5, "rise": 0.5}


def bake(run: RunFolder, **options) -> tuple[MotionBaked, list]:
    events = list(start(BakeMotion(run=str(run.path), **options)))
    assert isinstance(events[-1], MotionBaked)
    return events[-1], events


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_moving_run(tmp_path, **MOTION)


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """Points of no particular order, as an edited mesh has them."""
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (40, 3)).astype(np.float32)
    faces = np.arange(39).reshape(-1, 3)
    write_mesh(Mesh(points, faces), tmp_path / "edited ä.ply")
    return tmp_path / "edited ä.ply"


def test_vertices_go_where_the_motion_takes_them(run: RunFolder, mesh: Path) -> None:
    """Turns of up to 143°, where plain fixed-point iteration diverges."""
    ready, events = bake(run, mesh=str(mesh))
    samples, first_frame, step = read_point_cache(Path(ready.output))
    assert (first_frame, step) == (11, 1)
    assert ready.frames == (11, 12, 13, 14, 15)
    rest = np.asarray(trimesh.load(mesh, process=False).vertices)
    for sample, time in zip(samples, (0, 0.25, 0.5, 0.75, 1), strict=True):
        expected = moving_method(**MOTION).from_canonical(rest, time)
        np.testing.assert_allclose(sample, expected, atol=1e-4)
    assert ready.rest_time == 0.0
    assert ready.residual_max < 1e-4
    assert ready.share_missed == 0
    done = [
        event.done for event in events if isinstance(event, Progress) and event.unit == "frames"
    ]
    assert done[-1] == 5


def test_the_report_has_the_residuals_of_each_frame(run: RunFolder, mesh: Path) -> None:
    ready, _ = bake(run, mesh=str(mesh))
    report = json.loads(Path(ready.report).read_text())
    assert Path(ready.report) == Path(ready.output).with_suffix(".json")
    assert [one["frame"] for one in report["frames"]] == list(ready.frames)
    assert [one["time"] for one in report["frames"]] == [0, 0.25, 0.5, 0.75, 1]
    assert report["residual_max"] == max(one["worst"] for one in report["frames"])
    assert report["residual_max"] == ready.residual_max


def test_without_a_mesh_the_fields_own_is_extracted_at_rest(run: RunFolder) -> None:
    ready, _ = bake(run, resolution=24)
    rest = trimesh.load(ready.mesh, process=False)
    assert len(rest.vertices) == ready.num_vertices
    radius = np.linalg.norm(rest.vertices, axis=1)
    np.testing.assert_allclose(radius, 0.7, atol=0.01)
    samples, _, _ = read_point_cache(Path(ready.output))
    np.testing.assert_allclose(samples[-1][:, 2].mean() - samples[0][:, 2].mean(), 0.5, atol=1e-4)


def test_a_mesh_may_rest_at_any_moment(run: RunFolder, mesh: Path) -> None:
    """At its own moment it stays as it is."""
    ready, _ = bake(run, mesh=str(mesh), rest_time=0.5)
    samples, _, _ = read_point_cache(Path(ready.output))
    rest = np.asarray(trimesh.load(mesh, process=False).vertices)
    np.testing.assert_allclose(samples[2], rest, atol=1e-4)
    lowered = moving_method(**MOTION).to_canonical(
        torch.from_numpy(rest).float(), torch.full((40,), 0.5)
    )
    np.testing.assert_allclose(samples[0], lowered, atol=1e-4)


def test_a_mesh_in_a_space_of_its_own_is_moved_in_it(run: RunFolder, mesh: Path) -> None:
    matrix = np.array([[0, -2, 0, 0.1], [2, 0, 0, 0], [0, 0, 2, -0.2], [0, 0, 0, 1.0]])
    ready, _ = bake(run, mesh=str(mesh), mesh_to_field=tuple(matrix.ravel().tolist()))
    samples, _, _ = read_point_cache(Path(ready.output))
    rest = np.asarray(trimesh.load(mesh, process=False).vertices)
    np.testing.assert_allclose(samples[0], rest, atol=1e-4)
    placed = rest @ matrix[:3, :3].T + matrix[:3, 3]
    moved = moving_method(**MOTION).from_canonical(placed, 1.0)
    back = (moved - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    np.testing.assert_allclose(samples[-1], back, atol=1e-4)


def test_every_nth_frame_is_a_step_of_the_cache(run: RunFolder, mesh: Path) -> None:
    ready, _ = bake(run, mesh=str(mesh), frames=(15, 11, 13))
    _, first_frame, step = read_point_cache(Path(ready.output))
    assert ready.frames == (11, 13, 15)
    assert (first_frame, step) == (11, 2)


def test_frames_are_sought_outwards_from_rest() -> None:
    assert list(bake_motion.outwards([0.0, 0.2, 0.4, 0.6], 0.25)) == [
        (1, None),
        (2, 1),
        (3, 2),
        (0, 1),
    ]


def test_a_warp_that_nothing_is_taken_to_is_reported_not_hidden(
    run: RunFolder, mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From time 0.5 on everything is flattened, so that no point can get back its height."""
    original = MovingMethod.to_canonical

    def flattened(self, points, times):
        keep = (times < 0.5).float()[:, None]
        canonical = original(self, points, times)
        return canonical * torch.cat([torch.ones(len(points), 2), keep], dim=1)

    monkeypatch.setattr(MovingMethod, "to_canonical", flattened)
    ready, _ = bake(run, mesh=str(mesh))
    rest = np.abs(np.asarray(trimesh.load(mesh, process=False).vertices)[:, 2])
    assert ready.residual_max == pytest.approx(rest.max(), rel=1e-3)
    assert ready.share_missed == pytest.approx(3 / 5, abs=0.05)
    report = json.loads(Path(ready.report).read_text())
    assert [round(one["share_missed"], 1) for one in report["frames"]][:2] == [0, 0]
    assert np.isfinite(read_point_cache(Path(ready.output))[0]).all()


def test_a_field_without_a_warp_says_what_to_do_instead(tmp_path: Path, mesh: Path) -> None:
    with pytest.raises(JobError, match="Extract a mesh sequence instead"):
        bake(make_run(tmp_path), mesh=str(mesh), times=(0.0,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "motion.abc"}, r"in \.pc2"),
        ({"mesh": "mesh.obj"}, "order of its vertices"),
        ({"mesh": "nowhere.ply"}, "cannot be read"),
        ({"rest_time": 2.0}, "cannot rest"),
        ({"tolerance": 0.0}, "cannot be 0"),
        ({"mesh_to_field": (1.0, 2.0)}, "sixteen"),
        ({"mesh_to_field": (0.0,) * 16}, "flattened"),
        ({"frames": (11, 12, 15)}, "equal steps"),
    ],
)
def test_impossible_options_are_explained(run: RunFolder, options: dict, message: str) -> None:
    with pytest.raises(JobError, match=message):
        bake(run, **options)


def test_a_mesh_without_vertices_is_explained(run: RunFolder, tmp_path: Path) -> None:
    write_mesh(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), int)), tmp_path / "none.ply")
    with pytest.raises(JobError, match=r"none\.ply"):
        bake(run, mesh=str(tmp_path / "none.ply"))
