# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a training in three ways, and what is seen of one while it runs."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import (
    live_pictures,
    panel_state,
    run_catalog,
    session,
    training_watch,
)
from neural_fields.addon.scene import preview_images
from neural_fields.addon.worker.protocol import messages

from tests.worker_python import run_with_backend

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120), pytest.mark.usefixtures("studio")]


@pytest.fixture(autouse=True)
def fake_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_RUN", str(tmp_path / "run"))


def hanging(bpy: ModuleType, tmp_path: Path, **changes: Any) -> session.JobRecord:
    options = {"job_id": "hanging", "capture": "/a", "run": str(tmp_path / "run")} | changes
    job = messages.Train(method="hang", **options)
    target = session.Target(scene=bpy.context.scene.session_uid)
    record = session.submit(job, "Train", target)
    while record.progress is None or record.progress.done < 2:
        session.pump(0.05)
    record_file = Path(job.run) / "run.json"
    while not (record_file.is_file() and record_file.stat().st_size):
        session.pump(0.05)
    (tmp_path / "run" / "run.json").write_text('{"state": "cancelled"}', encoding="utf-8")
    return record


def fields(bpy: ModuleType) -> list[Any]:
    return [item for item in bpy.data.objects if item.neural_field.run]


def listed_runs(bpy: ModuleType) -> list[Any]:
    return list(bpy.context.window_manager.neural_fields.runs)


@pytest.mark.parametrize(("button", "ending"), [("pause", "pause"), ("stop", "keep")])
def test_what_was_learned_is_kept(
    bpy: ModuleType, tmp_path: Path, button: str, ending: str
) -> None:
    record = hanging(bpy, tmp_path)
    assert getattr(bpy.ops.neural_fields, f"{button}_training")() == {"FINISHED"}
    assert (record.state, record.training.ending) == ("cancelled", ending)
    assert (tmp_path / "run").is_dir()
    assert str(tmp_path / "run") in [run.path for run in listed_runs(bpy)]
    assert len(fields(bpy)) == 1
    assert not bpy.ops.neural_fields.pause_training.poll()


def test_cancelling_throws_the_new_run_away(bpy: ModuleType, tmp_path: Path) -> None:
    hanging(bpy, tmp_path)
    bpy.ops.neural_fields.discard_training()
    assert not (tmp_path / "run").exists()
    assert str(tmp_path / "run") not in [run.path for run in listed_runs(bpy)]
    assert fields(bpy) == []
    assert panel_state.get().problems.get("training") is None


def test_of_a_training_that_was_resumed_the_run_is_kept(bpy: ModuleType, tmp_path: Path) -> None:
    hanging(bpy, tmp_path, resume=True)
    bpy.ops.neural_fields.discard_training()
    assert (tmp_path / "run").is_dir()


def add_camera(bpy: ModuleType, distance: float = 4.0) -> Any:
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = (0.0, 0.0, distance)
    bpy.context.view_layer.update()
    return camera


def progress(**values: Any) -> messages.Progress:
    return messages.Progress(
        **{"job_id": "hanging", "stage": "training", "done": 1, "total": 4} | values
    )


def test_the_previews_camera_follows_the_scenes(bpy: ModuleType, tmp_path: Path) -> None:
    camera = add_camera(bpy)
    scene, run = bpy.context.scene, tmp_path / "run"
    assert training_watch.write_camera(scene, run, "hanging")
    file = training_watch.camera_file("hanging")
    record = hanging(bpy, tmp_path, preview_camera=str(file))
    camera.location.z = 9.0
    bpy.context.view_layer.update()
    training_watch.on_event(progress(), record)
    (frame,) = json.loads(file.read_text(encoding="utf-8"))["frames"]
    assert frame["transform_matrix"][2][3] == 9.0
    assert 0 <= frame["time"] <= 1
    file.write_text("", encoding="utf-8")
    training_watch.on_event(progress(), record)
    assert file.read_text(encoding="utf-8") == "", "it did not move, so it was not written again"
    bpy.ops.neural_fields.stop_training()
    assert not file.exists()


def test_a_field_that_was_moved_is_seen_from_where_it_is(bpy: ModuleType, tmp_path: Path) -> None:
    from neural_fields.addon.scene.preview_cameras import preview_camera

    add_camera(bpy)
    field = bpy.data.objects.new("Neural Field", None)
    bpy.context.scene.collection.objects.link(field)
    field.neural_field.run = str(tmp_path / "run")
    field.location = (1.0, 2.0, 3.0)
    bpy.context.view_layer.update()
    seen = preview_camera(bpy.context.scene, field)
    np.testing.assert_allclose(seen.pose.camera_to_world[:3, 3], [-1, -2, 1], atol=1e-6)
    bpy.context.scene.camera.data.type = "ORTHO"
    assert preview_camera(bpy.context.scene, field) is None


def test_previews_show_behind_the_camera_and_leave_no_trace(
    bpy: ModuleType, tmp_path: Path
) -> None:
    camera = add_camera(bpy)
    bpy.context.scene.neural_fields.training.show_preview_in = {"CAMERA"}
    record = hanging(bpy, tmp_path)
    picture = bpy.data.images.new("made", 4, 2)
    picture.filepath_raw, picture.file_format = str(tmp_path / "live.png"), "PNG"
    picture.save()
    bpy.data.images.remove(picture)
    for _ in range(2):
        training_watch.on_event(progress(preview=str(tmp_path / "live.png")), record)
    (background,) = camera.data.background_images
    assert background.image.name == preview_images.NAME
    assert tuple(background.image.size) == (4, 2)
    bpy.ops.neural_fields.pause_training()
    assert not camera.data.background_images
    assert not bpy.data.images


def test_a_curve_is_thinned_and_keeps_what_was_measured(bpy: ModuleType, tmp_path: Path) -> None:
    record = hanging(bpy, tmp_path)
    record.training.curve.clear()
    for step in range(3000):
        measured = 20.0 + step if step % 500 == 0 else None
        training_watch.on_event(
            progress(done=step, total=3000, loss=1 / (step + 1), psnr=measured), record
        )
    curve = record.training.curve
    assert len(curve) <= training_watch.MOST_SAMPLES + 6
    assert [one.psnr for one in curve if one.psnr] == [20.0 + step for step in range(0, 3000, 500)]
    shares = [one.share for one in curve]
    assert shares == sorted(shares)
    assert max(np.diff(shares)) < 0.003
    bpy.ops.neural_fields.stop_training()


def test_a_training_is_in_the_list_as_soon_as_it_has_begun(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(run_catalog, "refresh", lambda: looked.append("once"))
    record = hanging(bpy, tmp_path)
    assert looked == ["once"]
    training_watch.on_event(progress(done=9, total=10), record)
    run_catalog.on_event(progress(done=9, total=10), record)
    assert looked == ["once"]
    bpy.ops.neural_fields.stop_training()
    assert looked == ["once", "once"]


def test_pictures_are_in_memory_only(bpy: ModuleType, tmp_path: Path) -> None:
    from neural_fields.addon.training_notes import Sample

    before = len(bpy.data.images)
    live_pictures.show_curve([Sample(0.0, 1.0, None), Sample(1.0, 0.01, 30.0)])
    drawn = panel_state.get().pictures[live_pictures.CURVE]
    size = live_pictures.CURVE_PX
    assert tuple(drawn.image_size) == (size, size)
    pixels = np.empty(4 * size * size, np.float32)
    drawn.image_pixels_float.foreach_get(pixels)
    assert pixels.max() > 0.9
    assert len(bpy.data.images) == before
    live_pictures.forget()
    assert live_pictures.icon_of(live_pictures.CURVE) == 0


def test_each_preview_takes_the_place_of_the_one_before(bpy: ModuleType, tmp_path: Path) -> None:
    """In a window they come one after another, of one training and then of the next."""
    paths = [save_png(tmp_path / f"{number}.png", number) for number in range(3)]
    live_pictures.begin("first")
    for path in (*paths, paths[-1]):
        live_pictures.show_preview(str(path))
        shown = panel_state.get().previews[0][live_pictures.PREVIEW]
        assert tuple(shown.image_size) == (4 + paths.index(path), 2)
    assert sum(map(len, panel_state.get().previews)) == 2
    assert live_pictures.are_of("first")
    live_pictures.begin("first")
    assert sum(map(len, panel_state.get().previews)) == 2
    live_pictures.begin("second")
    assert not live_pictures.are_of("first")
    assert live_pictures.icon_of(live_pictures.PREVIEW) == 0
    live_pictures.show_preview(str(tmp_path / "lost.png"))
    assert live_pictures.icon_of(live_pictures.PREVIEW) == 0
    live_pictures.forget()


def save_png(path: Path, number: int) -> Path:
    from PIL import Image

    Image.new("RGB", (4 + number, 2), (200, 40, 40)).save(path)
    return path


def test_without_a_window_nobody_pays_for_pictures(bpy: ModuleType, tmp_path: Path) -> None:
    add_camera(bpy)
    bpy.ops.neural_fields.train(capture=str(tmp_path), run=str(tmp_path / "run"))
    job = session.jobs()[-1].job
    assert (job.preview_seconds, job.evaluations, job.preview_camera) == (0.0, 0, "")


def test_methods_are_offered_in_plain_words_automatic_first(bpy: ModuleType) -> None:
    """And all of the backend's are among them."""
    listed = run_with_backend(
        "from neural_backend.methods.registry import METHODS; print(*METHODS)"
    )
    training = bpy.context.scene.neural_fields.training
    items = training.bl_rna.properties["method_choice"].enum_items
    assert items[0].name == "Automatic"
    assert {"auto", "other", *listed.split()} == set(items.keys())
    assert all(item.description for item in items)
    assert training.method_choice == "auto"
    training.method_choice = "dnerf"
    assert training.method == "dnerf"
    training.method = "my_own"
    assert training.method_choice == "other"
    training.method_choice = "other"
    assert training.method == "my_own"
