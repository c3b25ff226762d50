# SPDX-License-Identifier: GPL-3.0-or-later
"""Training, meshes and views by the operators, with a worker that only pretends."""

import json
import math
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import session
from neural_fields.addon.scene.cameras import pose_of
from neural_fields.addon.worker.client import Patience, WorkerClient
from neural_fields.addon.worker.protocol import messages

FAKE = Path(__file__).parents[1] / "fake_studio.py"

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session, "find_python", lambda _preference: Path(sys.executable))
    monkeypatch.setattr(
        session, "worker_command", lambda _python: [sys.executable, "-u", str(FAKE)]
    )
    session.stop()
    yield
    session.stop()


@pytest.fixture
def field(bpy: ModuleType, tmp_path: Path) -> Any:
    bpy.ops.neural_fields.train(capture=str(tmp_path), run=str(tmp_path / "run"), method="nerf")
    return next(item for item in bpy.data.objects if item.neural_field.run)


def add_camera(bpy: ModuleType) -> Any:
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_start, scene.frame_end = 3, 5
    for frame in (3, 5):
        camera.location = (frame, 0.0, 4.0)
        camera.keyframe_insert("location", frame=frame)
    return camera


def sent(kind: type) -> Any:
    """The last job of a kind that went to the worker."""
    return next(record.job for record in reversed(session.jobs()) if isinstance(record.job, kind))


def test_training_leaves_an_empty_that_knows_its_run(field: Any, tmp_path: Path) -> None:
    assert field.type == "EMPTY"
    assert Path(field.neural_field.run) == tmp_path / "run"
    assert field.neural_field.method == "nerf"
    assert field.neural_field.psnr == 21.5
    assert session.jobs()[-1].warnings == ["the fake learns nothing"]


def test_what_the_operator_is_told_wins_over_what_the_scene_says(
    bpy: ModuleType, tmp_path: Path
) -> None:
    stored = bpy.context.scene.neural_fields.training
    stored.capture, stored.steps, stored.preset = str(tmp_path), 77, "draft"
    bpy.ops.neural_fields.train(run=str(tmp_path / "a"), preset="final", settings="a=1 b=2")
    job = sent(messages.Train)
    assert (job.capture, job.steps, job.preset) == (str(tmp_path), 77, "final")
    assert job.settings == ("a=1", "b=2")
    assert job.device == "auto"
    assert not job.surfaces
    stored.surfaces = True
    bpy.ops.neural_fields.train(run=str(tmp_path / "b"))
    assert sent(messages.Train).preset == "draft"
    assert sent(messages.Train).surfaces


def test_training_the_same_run_again_adds_no_second_empty(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    bpy.ops.neural_fields.train(capture=str(tmp_path), run=str(tmp_path / "run"), resume=True)
    assert [item for item in bpy.data.objects if item.neural_field.run] == [field]


def test_training_without_a_capture_says_so(bpy: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="no capture to learn from"):
        bpy.ops.neural_fields.train()


def test_a_failure_reaches_the_script_with_its_remedy(bpy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"No luck\. Try again\."):
        bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "run"), method="fail")
    assert not bpy.data.objects


def test_a_worker_that_dies_is_explained_and_the_next_job_starts_another(
    bpy: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="exit status 7") as caught:
        bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "a"), method="die")
    assert "the sky falls" in str(caught.value)
    assert session.worker() is None
    bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "b"))
    assert session.jobs()[-1].state == "done"


def test_cancel_stops_what_runs_and_keeps_what_was_learned(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setenv("FAKE_RUN", str(run))
    job = messages.Train(job_id="hanging", capture="/a", run=str(run), method="hang")
    record = session.submit(job, "Train", session.Target(scene=bpy.context.scene.session_uid))
    while record.progress is None or record.progress.done < 2:
        session.pump(0.05)
    assert not bpy.ops.neural_fields.train.poll()
    assert bpy.ops.neural_fields.cancel() == {"FINISHED"}
    assert record.state == "cancelled"
    assert not bpy.ops.neural_fields.cancel.poll()
    assert [Path(item.neural_field.run) for item in bpy.data.objects] == [run]


def test_a_worker_that_ignores_cancel_is_killed_and_the_job_counts_as_cancelled(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STUBBORN", "1")
    patience = Patience(cancel=0.1, terminate=0.1)
    monkeypatch.setattr(session, "WorkerClient", partial(WorkerClient, patience=patience))
    job = messages.Train(job_id="stuck", capture="/a", run=str(tmp_path / "run"), method="hang")
    record = session.submit(job, "Train")
    assert bpy.ops.neural_fields.cancel(job_id="other") == {"CANCELLED"}
    assert bpy.ops.neural_fields.cancel(job_id="stuck") == {"FINISHED"}
    assert record.state == "cancelled"
    assert isinstance(record.answer, messages.JobCancelled)


def test_a_mesh_is_extracted_and_renewed_in_place(bpy: ModuleType, field: Any) -> None:
    bpy.ops.neural_fields.extract_mesh(resolution=64)
    surface = field.neural_field.mesh_object
    assert surface.parent == field
    assert surface["neural_field_level"] == 4.5
    field.neural_field.mesh.resolution = 32
    field.neural_field.mesh.use_crop = True
    bpy.context.view_layer.objects.active = surface  # the field is found from what hangs on it
    bpy.ops.neural_fields.extract_mesh()
    assert field.neural_field.mesh_object == surface
    assert surface.data.vertices[1].co.x == 32
    assert sent(messages.ExtractMesh).crop_max == (1.0, 1.0, 1.0)


def test_views_follow_the_camera_and_play_behind_the_scene(bpy: ModuleType, field: Any) -> None:
    camera = add_camera(bpy)
    bpy.ops.neural_fields.render_views()
    job = sent(messages.RenderViews)
    written = json.loads(Path(job.cameras).read_text(encoding="utf-8"))
    assert [frame["frame"] for frame in written["frames"]] == [3, 4, 5]
    assert [frame["transform_matrix"][0][3] for frame in written["frames"]] == [3.0, 4.0, 5.0]
    (background,) = camera.data.background_images
    assert background.image_user.frame_start == 3
    assert background.image_user.frame_duration == 3
    assert Path(background.image.filepath).name == "view_0003.png"
    assert bpy.context.scene.frame_current == 1
    bpy.ops.neural_fields.render_views(frame_start=4, frame_end=4)
    assert len(json.loads(Path(sent(messages.RenderViews).cameras).read_text())["frames"]) == 1


def test_views_see_a_field_that_was_moved_where_it_is_now(bpy: ModuleType, field: Any) -> None:
    camera = add_camera(bpy)
    field.location, field.rotation_euler = (1.0, 2.0, 3.0), (0.0, 0.0, math.pi / 2)
    field.scale = (2.0, 2.0, 2.0)
    bpy.ops.neural_fields.render_views(frame_start=3, frame_end=3, use_scene_range=False)
    values = json.loads(Path(sent(messages.RenderViews).cameras).read_text(encoding="utf-8"))
    matrix = np.array(values["frames"][0]["transform_matrix"])
    scene = bpy.context.scene
    scene.frame_set(3)
    pose = pose_of(camera, bpy.context.evaluated_depsgraph_get(), scene)
    again = np.array(field.matrix_world) @ matrix
    again[:3, :3] /= 2
    np.testing.assert_allclose(again, pose.camera_to_world, atol=1e-5)


def test_views_without_a_camera_or_frames_are_refused(bpy: ModuleType, field: Any) -> None:
    with pytest.raises(RuntimeError, match="no active camera"):
        bpy.ops.neural_fields.render_views()
    add_camera(bpy)
    with pytest.raises(RuntimeError, match="frame range 5 to 4 is empty"):
        bpy.ops.neural_fields.render_views(frame_start=5, frame_end=4)


def test_results_survive_saving_moving_and_reopening_the_project(
    bpy: ModuleType, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    bpy.context.scene.neural_fields.training.steps = 5
    bpy.ops.neural_fields.train(capture="//capture", run="//runs/first")
    assert sent(messages.Train).capture == str(project / "capture")
    bpy.ops.neural_fields.extract_mesh(resolution=16)
    bpy.ops.wm.save_mainfile()
    moved = project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "scene.blend"))
    field = bpy.data.objects["Neural Field"]
    assert field.neural_field.run == "//runs/first"
    assert field.neural_field.mesh_object.data.vertices[1].co.x == 16
    assert bpy.context.scene.neural_fields.training.steps == 5
    bpy.ops.neural_fields.extract_mesh(resolution=17)
    assert sent(messages.ExtractMesh).run == str(moved / "runs" / "first")
    assert field.neural_field.mesh_object.data.vertices[1].co.x == 17


def test_a_result_for_a_file_that_is_no_longer_open_changes_nothing(
    bpy: ModuleType, tmp_path: Path
) -> None:
    target = session.Target(scene=bpy.context.scene.session_uid)
    job = messages.Train(job_id="late", capture="/a", run=str(tmp_path / "run"))
    record = session.submit(job, "Train", target)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    session.wait("late")
    assert record.state == "done"
    assert not bpy.data.objects


def test_a_run_on_disk_can_be_added_to_another_scene(bpy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no run folder"):
        bpy.ops.neural_fields.add_field(run=str(tmp_path))
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    bpy.ops.neural_fields.add_field(run=str(tmp_path))
    assert Path(bpy.context.object.neural_field.run) == tmp_path


def test_the_timer_of_a_window_runs_until_the_last_job_has_ended(
    bpy: ModuleType, tmp_path: Path
) -> None:
    assert session._on_timer() is None
    record = session.submit(messages.Train(job_id="a", capture="/a", run=str(tmp_path)), "Train")
    deadline = time.monotonic() + 30
    while session._on_timer() is not None:
        assert record.state == "running"
        assert time.monotonic() < deadline
    assert record.state == "done"


def test_undo_during_a_job_does_not_lose_its_result(bpy: ModuleType, field: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    target = session.Target(bpy.context.scene.session_uid, field.session_uid)
    job = messages.ExtractMesh(job_id="mesh", run=field.neural_field.run, resolution=9)
    session.submit(job, "Extract mesh", target)
    field.name = "Renamed"
    bpy.ops.ed.undo_push(message="renamed")
    bpy.ops.ed.undo()
    session.wait("mesh")
    field = next(item for item in bpy.data.objects if item.neural_field.run)
    assert field.neural_field.mesh_object.data.vertices[1].co.x == 9


def test_the_terminal_shows_stage_bar_and_quality(
    bpy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "run"))
    shown = capsys.readouterr().out
    assert "Train: warning: the fake learns nothing" in shown
    assert "Train · training [########################] 2/2 steps, PSNR 20.00 dB" in shown
    session.set_progress(False)
    try:
        bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "other"))
    finally:
        session.set_progress(True)
    assert "training [" not in capsys.readouterr().out
