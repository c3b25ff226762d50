# SPDX-License-Identifier: GPL-3.0-or-later
"""F12 with the Neural Field engine, by a real worker with fields that are known exactly."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat, engine_requests, frames, session
from neural_fields.addon.worker.protocol import JobError
from PIL import Image

from tests.addon.analytic_runs import make_moving_run, make_run
from tests.addon.engine_scene import (
    analytic_workers,
    choose_format,
    field_scene,
    rendered,
    views_of,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with analytic_workers():
        yield


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("field"), scene="two_spheres")


@pytest.fixture
def field(bpy: ModuleType, run_path: Path) -> Any:
    return field_scene(bpy, run_path)


def put(bpy: ModuleType, case: str, field: Any) -> None:
    scene, camera = bpy.context.scene, bpy.context.scene.camera
    render = scene.render
    if case == "portrait":
        render.resolution_x, render.resolution_y = 30, 50
    elif case == "percentage":
        render.resolution_x, render.resolution_y, render.resolution_percentage = 97, 61, 51
    elif case == "shift":
        camera.data.shift_x, camera.data.shift_y = 0.13, -0.08
    elif case == "pixel aspect":
        render.pixel_aspect_x, render.pixel_aspect_y = 1.0, 1.7
    elif case == "vertical fit":
        camera.data.sensor_fit, camera.data.sensor_height = "VERTICAL", 30.0
    elif case == "moved field":
        field.location, field.rotation_euler = (0.2, 0.1, -0.3), (0.3, 0.2, 1.0)
        field.scale = (0.7, 0.7, 0.7)


@pytest.mark.parametrize(
    "case",
    [
        "plain", "portrait", "percentage", "shift", "pixel aspect", "vertical fit", "moved field",
    ],
)  # fmt: skip
def test_the_picture_is_the_one_that_render_views_writes(
    bpy: ModuleType, field: Any, tmp_path: Path, case: str
) -> None:
    put(bpy, case, field)
    passes = rendered(bpy, tmp_path / "picture.exr")
    rgba, depth = views_of(bpy, tmp_path / "views")
    assert (rgba[..., 3] > 0).sum() > 20
    np.testing.assert_allclose(passes["Combined"], rgba, atol=1e-6)
    np.testing.assert_array_equal(passes["Field Alpha"], rgba[..., 3])
    scale = field.matrix_world.to_scale()[0]
    depth = np.where(depth < 1e10, depth * scale, depth)
    np.testing.assert_allclose(passes["Depth"], depth, rtol=1e-5)


def test_depth_is_measured_in_the_scene_not_in_the_field(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    """The same picture of a field half as large from half as far has half its depth."""
    camera = bpy.context.scene.camera
    before = rendered(bpy, tmp_path / "a.exr")
    field.scale = (0.5, 0.5, 0.5)
    camera.location = camera.location * 0.5
    after = rendered(bpy, tmp_path / "b.exr")
    np.testing.assert_allclose(after["Combined"], before["Combined"], atol=1e-3)
    seen = before["Field Alpha"] > 0
    np.testing.assert_allclose(after["Depth"][seen], before["Depth"][seen] / 2, rtol=1e-3)


@pytest.mark.parametrize("crop", [True, False])
def test_a_border_is_the_part_of_the_whole(
    bpy: ModuleType, field: Any, tmp_path: Path, crop: bool
) -> None:
    render = bpy.context.scene.render
    whole = rendered(bpy, tmp_path / "whole.exr")
    render.use_border, render.use_crop_to_border = True, crop
    render.border_min_x, render.border_max_x = 0.21, 0.77
    render.border_min_y, render.border_max_y = 0.13, 0.64
    part = rendered(bpy, tmp_path / "part.exr")
    left, right = int(0.21 * 48), int(0.77 * 48)
    top, bottom = 32 - int(0.64 * 32), 32 - int(0.13 * 32)
    inside = (slice(top, bottom), slice(left, right))
    for name in ("Combined", "Depth", "Field Alpha"):
        expected = whole[name][inside]
        found = part[name] if crop else part[name][inside]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    if not crop:
        outside = np.ones((32, 48), bool)
        outside[inside] = False
        assert not part["Combined"][outside].any()


def test_png_as_the_standard_view_shows_it_is_that_of_render_views(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    choose_format(scene, "PNG")
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.dither_intensity = 0.0
    scene.render.filepath = str(tmp_path / "picture.png")
    bpy.ops.render.render(write_still=True)
    bpy.ops.neural_fields.render_views(output=str(tmp_path), frame_start=1, frame_end=1)
    ours = np.asarray(Image.open(tmp_path / "picture.png")).astype(int)
    views = np.asarray(Image.open(tmp_path / "view_0001.png")).astype(int)
    np.testing.assert_array_equal(ours[..., 3], views[..., 3])
    assert np.abs(ours - views)[views[..., 3] > 0].max() <= 1


def test_without_a_transparent_film_the_world_lies_behind(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    clear = rendered(bpy, tmp_path / "clear.exr")
    scene.render.film_transparent = False
    world = scene.world = bpy.data.worlds.new("World")
    nodes = compat.shader_nodes(world).nodes
    background = next(node for node in nodes if node.bl_idname == "ShaderNodeBackground")
    background.inputs["Color"].default_value = (0.1, 0.2, 0.4, 1.0)
    background.inputs["Strength"].default_value = 2.0
    filled = rendered(bpy, tmp_path / "filled.exr")
    alpha = clear["Combined"][..., 3:]
    expected = clear["Combined"][..., :3] + (1 - alpha) * np.array([0.2, 0.4, 0.8])
    np.testing.assert_allclose(filled["Combined"][..., :3], expected, atol=1e-6)
    assert (filled["Combined"][..., 3] == 1).all()
    np.testing.assert_array_equal(filled["Field Alpha"], alpha[..., 0])


def test_samples_smooth_edges_and_change_no_place(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    hard = rendered(bpy, tmp_path / "hard.exr")["Field Alpha"]
    bpy.context.scene.neural_fields.engine.samples = 4
    smooth = rendered(bpy, tmp_path / "smooth.exr")["Field Alpha"]
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert len(np.unique(smooth)) > 5
    assert abs(smooth.mean() - hard.mean()) < 0.01


def test_an_animation_has_the_frames_that_f12_shows_one_by_one(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene, camera = bpy.context.scene, bpy.context.scene.camera
    scene.frame_start, scene.frame_end = 4, 6
    for frame, x in ((4, 0.5), (6, 1.5)):
        camera.location.x = x
        camera.keyframe_insert("location", index=0, frame=frame)
        camera.data.lens = 40 + 3 * frame
        camera.data.keyframe_insert("lens", frame=frame)
        field.location.z = 0.05 * frame
        field.keyframe_insert("location", index=2, frame=frame)
    scene.render.filepath = str(tmp_path / "many_####.exr")
    bpy.ops.render.render(animation=True)
    from tests.addon.engine_scene import read_passes

    pictures = []
    for frame in (4, 5, 6):
        scene.frame_set(frame)
        single = rendered(bpy, tmp_path / f"one_{frame}.exr")
        animated = read_passes(tmp_path / f"many_{frame:04d}.exr")
        for name in ("Combined", "Depth", "Field Alpha"):
            np.testing.assert_array_equal(animated[name], single[name])
        pictures.append(single["Combined"])
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


def test_fields_are_put_together_by_their_depth(
    bpy: ModuleType, field: Any, run_path: Path, tmp_path: Path
) -> None:
    alone = rendered(bpy, tmp_path / "a.exr")
    other = field.copy()
    bpy.context.scene.collection.objects.link(other)
    other.location, other.scale = (-0.2, 1.2, 0.3), (1.2, 1.2, 1.2)
    field.hide_render = True
    second = rendered(bpy, tmp_path / "b.exr")
    field.hide_render = False
    both = rendered(bpy, tmp_path / "both.exr")
    overlap = (alone["Field Alpha"] > 0) & (second["Field Alpha"] > 0)
    assert overlap.sum() > 10
    nearer = alone["Depth"] <= second["Depth"]
    expected = np.where(nearer[..., None], alone["Combined"], second["Combined"])
    np.testing.assert_allclose(both["Combined"], expected, atol=1e-5)
    np.testing.assert_allclose(
        both["Depth"], np.minimum(alone["Depth"], second["Depth"]), rtol=1e-5
    )
    assert (nearer & overlap).any()


def test_instances_of_a_collection_are_fields_too(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    expected = rendered(bpy, tmp_path / "own.exr")
    scene = bpy.context.scene
    collection = bpy.data.collections.new("Fields")
    scene.collection.objects.unlink(field)
    collection.objects.link(field)
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(instance)
    found = rendered(bpy, tmp_path / "instance.exr")
    np.testing.assert_array_equal(found["Combined"], expected["Combined"])


def test_a_retimed_field_shows_the_moment_of_its_field_time(
    bpy: ModuleType, tmp_path: Path
) -> None:
    run = make_moving_run(tmp_path / "moving", turn=2.0, rise=0.5, scene="box")
    field = field_scene(bpy, run)
    scene = bpy.context.scene
    scene.camera.location, scene.camera.rotation_euler = (0.0, -4.0, 0.2), (1.5708, 0.0, 0.0)
    settings = field.neural_field
    assert (settings.frame_start, settings.frame_end) == (11, 15)
    heights = []
    for frame in (11, 13, 15):
        scene.frame_set(frame)
        alpha = rendered(bpy, tmp_path / f"{frame}.exr")["Field Alpha"]
        heights.append(-float(np.nonzero(alpha > 0.5)[0].mean()))
    assert heights[0] < heights[1] < heights[2]
    middle = rendered(bpy, tmp_path / "last.exr")
    settings.use_retime, settings.field_time = True, 0.5
    frozen = rendered(bpy, tmp_path / "frozen.exr")["Combined"]
    assert not np.array_equal(frozen, middle["Combined"])
    scene.frame_set(13)
    settings.use_retime = False
    np.testing.assert_array_equal(frozen, rendered(bpy, tmp_path / "unfrozen.exr")["Combined"])
    settings.use_retime = True
    for frame, moment in ((11, 1.0), (15, 0.0)):
        settings.field_time = moment
        settings.keyframe_insert("field_time", frame=frame)
    scene.frame_set(11)
    reverse = rendered(bpy, tmp_path / "reverse.exr")["Field Alpha"]
    assert -float(np.nonzero(reverse > 0.5)[0].mean()) == pytest.approx(heights[2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no field", "shows no neural field"),
        ("hidden", "shows no neural field"),
        ("no camera", "no camera"),
        ("orthographic", "Only perspective cameras"),
        ("uneven", "same scale in X, Y and Z"),
        ("lost run", "has no run.json"),
        ("no worker", "No Python with torch"),
    ],
)
def test_what_is_wrong_is_the_renders_error_and_no_picture_is_written(
    bpy: ModuleType, field: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: str, said: str,
) -> None:  # fmt: skip
    scene = bpy.context.scene
    if change == "no field":
        bpy.data.objects.remove(field)
    elif change == "hidden":
        field.hide_render = True
    elif change == "no camera":
        scene.camera = None
    elif change == "orthographic":
        scene.camera.data.type = "ORTHO"
    elif change == "uneven":
        field.scale = (1.0, 2.0, 1.0)
    elif change == "lost run":
        field.neural_field.run = str(tmp_path / "elsewhere")
    elif change == "no worker":
        frames.stop()

        def nowhere(_preference: str) -> Path:
            raise JobError("No Python with torch was found.", "Choose one.")

        monkeypatch.setattr(session, "find_python", nowhere)
    scene.render.filepath = str(tmp_path / "none.exr")
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.render.render(write_still=True)
    assert not (tmp_path / "none.exr").exists()
    scene.frame_end = 3
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.render.render(animation=True)
    frames.stop() if change == "no worker" else None


def test_no_picture_is_left_behind(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    rendered(bpy, tmp_path / "a.exr")
    left = [path.name for path in Path(bpy.app.tempdir).iterdir() if path.suffix == ".npy"]
    assert left == []
    assert not frames.worker().is_waited_for


def test_escape_ends_the_wait_and_cancels_the_view(
    bpy: ModuleType, field: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender's own flag cannot be set without a window, so the engine is asked by a stand-in."""
    from neural_fields.addon import engine_final

    class Engine:
        told: list[str] = []

        def update_stats(self, *_texts: str) -> None:
            self.told.append("stats")

        def update_progress(self, _share: float) -> None: ...

        def test_break(self) -> bool:
            return True

    class Slow:
        taken = 0

        def take(self) -> None:
            self.taken += 1

        def progress(self) -> float:
            return 0.0

    request = Slow()
    assert engine_final._wait(Engine(), request) is None  # type: ignore[arg-type]
    assert request.taken == 1
    dropped: list[int] = []
    monkeypatch.setattr(engine_final, "_wait", lambda *_: None)
    real = engine_requests.Request.drop

    def drop(self: engine_requests.Request) -> None:
        dropped.append(1)
        real(self)

    monkeypatch.setattr(engine_requests.Request, "drop", drop)
    bpy.context.scene.render.filepath = str(tmp_path / "cancelled.exr")
    bpy.ops.render.render()
    assert dropped == [1]
    assert not frames.worker().is_waited_for
