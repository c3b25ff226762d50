# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample, from its scene to its mesh; a real capture, and a worker that only pretends."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import panel_state, sample_run, session
from neural_fields.addon.operators.try_it import show_stage
from neural_fields.addon.scene import captures, sample_scene

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300), pytest.mark.usefixtures("studio")]


@pytest.fixture(autouse=True)
def small(bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and tiny pictures, in a file that has a folder."""

    def build() -> Any:
        scene = make()
        scene.render.resolution_x = scene.render.resolution_y = 16
        scene.cycles.samples = 1
        return scene

    make = sample_scene.build_sample
    monkeypatch.setattr(sample_scene, "build_sample", build)
    monkeypatch.setattr(sample_run, "NUM_CAMERAS", 3)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "Mine.blend"))


def test_the_sample_ends_with_a_mesh_beside_it_and_leaves_the_artists_scene_alone(
    bpy: ModuleType, tmp_path: Path
) -> None:
    mine = bpy.context.scene
    before = list(mine.objects), mine.render.resolution_x
    assert bpy.ops.neural_fields.try_it() == {"FINISHED"}
    assert (list(mine.objects), mine.render.resolution_x) == before
    sample = bpy.data.scenes[sample_scene.NAME]
    assert bpy.context.scene == sample
    assert sample.render.filepath == mine.render.filepath
    (field,) = [item for item in sample.objects if item.neural_field.run]
    mesh = field.neural_field.mesh_object
    assert mesh.name in sample.objects
    assert field.location.x > sample_scene.WIDTH / 2
    assert field.neural_field.run.startswith("//Mine_neural_fields/sample_")
    capture = tmp_path / "Mine_neural_fields" / "sample_capture_001"
    assert (capture / "transforms.json").is_file()
    assert sample.neural_fields.training.capture == "//Mine_neural_fields/sample_capture_001"
    train, extract = (record.job for record in session.jobs())
    assert (train.method, train.preset, train.seconds) == ("voxel_grid", "draft", 15.0)
    assert train.surfaces
    assert sample.neural_fields.training.surfaces
    assert extract.run == train.run


def test_progress_only_rises_and_stops_where_it_is_closed(bpy: ModuleType) -> None:
    uid = sample_run.build(bpy.context.window)
    shares = []
    stages = sample_run.steps(uid, captures.render_at_once)
    for stage in stages:
        shares.append(stage.share)
        if session.running():
            break
    (record,) = session.running()
    stages.close()
    assert record.cancel_asked
    session.wait(record.job.job_id)
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] >= sample_run.CAPTURED


def test_what_fails_is_said_in_the_panel(bpy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_scene: Any) -> Any:
        raise sample_run.SceneError("The renderer is on strike.", "Wait.")
        yield

    monkeypatch.setattr("neural_fields.addon.operators.try_it.render_at_once", fail)
    with pytest.raises(RuntimeError, match="on strike"):
        bpy.ops.neural_fields.try_it()
    assert panel_state.get().problems["training"].remedy == "Wait."


def test_a_second_sample_cannot_be_begun_meanwhile(bpy: ModuleType) -> None:
    show_stage(bpy.context, sample_run.Stage("Learning", 0.5))
    try:
        assert not bpy.ops.neural_fields.try_it.poll()
        assert bpy.ops.neural_fields.stop_try_it() == {"FINISHED"}
    finally:
        show_stage(bpy.context, None)
    assert bpy.ops.neural_fields.try_it.poll()
    assert not bpy.ops.neural_fields.stop_try_it.poll()


def test_the_sample_fits_where_it_says(bpy: ModuleType) -> None:
    scene = sample_scene.build_sample()
    scene.view_layers[0].update()
    points = np.concatenate(
        [
            np.array([item.matrix_world @ vertex.co for vertex in item.data.vertices])
            for item in sample_scene.objects_of(scene)
        ]
    )
    assert np.ptp(points, axis=0)[:2].max() <= sample_scene.WIDTH
    assert points[:, 2].min() < 0 < points[:, 2].max()
