# SPDX-License-Identifier: GPL-3.0-or-later
"""Views by the operator to all places at once: a real worker renders, Blender plays them."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat, session
from neural_fields.addon.scene import compositing
from neural_fields.addon.worker.protocol import messages
from PIL import Image

from tests.addon.analytic_runs import make_run
from tests.addon.operators.real_runs import (
    add_camera,
    add_field,
    real_worker,
    sent,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]

EVERYWHERE = {
    "as_background": True,
    "as_plane": True,
    "as_clip": True,
    "as_strip": True,
    "as_composite": True,
}


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("ball"))


@pytest.fixture
def field(bpy: ModuleType, ball: Path) -> Any:
    """A ball of radius 0.7 about the origin, and a camera that passes by at frames 3 to 5."""
    add_camera(bpy)
    return add_field(bpy, ball)


def plane_of(camera: Any) -> Any:
    return next(item for item in camera.children if item.get("neural_field_plane"))


def picture_node(tree: Any, kind: str) -> Any:
    return next(node for node in tree.nodes if node.type == kind)


def shot(bpy: ModuleType, path: Path) -> np.ndarray:
    """What Cycles and the compositor make of the current frame: linear RGBA, rows from below."""
    scene = bpy.context.scene
    scene.cycles.samples, scene.render.film_transparent = 1, True
    scene.render.filter_size = 0.01
    image = scene.render.image_settings
    image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGBA", "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    shown = bpy.data.images.load(str(path))
    pixels = np.array(shown.pixels[:]).reshape(*reversed(shown.size), 4)
    bpy.data.images.remove(shown)
    return pixels


def test_the_pictures_play_at_their_frames_in_every_place(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    camera = scene.camera
    bpy.ops.neural_fields.render_views(output=str(tmp_path), **EVERYWHERE)
    assert sent(messages.RenderViews).depth
    (background,) = camera.data.background_images
    plane = picture_node(plane_of(camera).data.materials[0].node_tree, "TEX_IMAGE")
    sequence = picture_node(compat.scene_compositor(scene), "IMAGE")
    for user in (background.image_user, plane.image_user, sequence):
        assert (user.frame_start, user.frame_duration, user.frame_offset) == (3, 3, 2)
    assert background.image == plane.image == sequence.image
    assert background.show_background_image
    (clip,) = bpy.data.movieclips
    assert (clip.frame_start, clip.frame_duration, *clip.size) == (3, 3, 24, 24)
    (strip,) = compat.strips_of(scene)
    assert compat.strip_range(strip) == (3, 6)
    names = [f"view_{frame:04d}.png" for frame in (3, 4, 5)]
    assert [element.filename for element in strip.elements] == names
    assert scene.frame_current == 3


def test_the_same_again_renews_every_place_and_adds_nothing(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene

    def counts() -> list[int]:
        kept = (bpy.data.images, bpy.data.movieclips, bpy.data.materials, bpy.data.objects)
        tree = compat.scene_compositor(scene)
        numbers = [len(one) for one in (*kept, compat.strips_of(scene), tree.nodes)]
        return [*numbers, len(scene.camera.data.background_images)]

    bpy.ops.neural_fields.render_views(output=str(tmp_path), **EVERYWHERE)
    before = counts()
    scene.camera.data.lens = 80.0
    bpy.ops.neural_fields.render_views(output=str(tmp_path), overwrite=True, **EVERYWHERE)
    assert counts() == before
    image = scene.camera.data.background_images[0].image
    assert image.size[:] == (24, 24)


def test_only_the_places_that_are_asked_for_are_used(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    stored = field.neural_field.views
    stored.as_background, stored.as_strip = False, True
    bpy.ops.neural_fields.render_views(output=str(tmp_path))
    assert not len(bpy.context.scene.camera.data.background_images)
    assert not bpy.context.scene.camera.children
    assert not len(bpy.data.movieclips)
    assert len(compat.strips_of(bpy.context.scene)) == 1
    assert not compositing.is_built(bpy.context.scene)


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_the_compositor_puts_the_pictures_before_and_behind_the_scene_by_their_depth(
    bpy: ModuleType, field: Any, tmp_path: Path, scale: float
) -> None:
    scene = bpy.context.scene
    field.scale = (scale,) * 3
    bpy.context.view_layer.update()
    # Behind the front of the ball and before its sides.
    bpy.ops.mesh.primitive_plane_add(size=8.0, location=(0.0, -0.5 * scale, 0.0))
    bpy.context.object.rotation_euler.x = np.pi / 2
    bpy.context.view_layer.objects.active = field
    bpy.ops.neural_fields.render_views(
        output=str(tmp_path / "views"), as_background=False, as_composite=True, frame_end=5
    )
    scene.frame_set(4)
    both = shot(bpy, tmp_path / "both.exr")
    picture = np.array(Image.open(tmp_path / "views" / "view_0004.png"))[::-1] / 255
    ys, xs = (np.mgrid[:24, :24] + 0.5) / 24 - 0.5
    reach = scene.camera.data.sensor_width / scene.camera.data.lens
    # Where rays meet the plane they are so far from the ball's axis.
    away = np.hypot(xs, ys) * reach * (4 - 0.5 * scale)
    edge = np.sqrt(0.7**2 - 0.5**2) * scale
    pixel = reach * 4 / 24
    front, beside = away < edge - pixel, away > edge + pixel
    assert front.sum() > 10
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(both[front][:, :3], linear[front][:, :3], atol=2e-3)
    assert (both[beside][:, :3] < 0.01).all()  # the plane has no light
    assert (both[..., 3] > 0.99).all()
    assert bpy.ops.neural_fields.remove_composite() == {"FINISHED"}
    alone = shot(bpy, tmp_path / "alone.exr")
    assert (alone[..., :3] < 0.01).all()
    assert not compositing.is_built(scene)


def test_pictures_in_the_compositor_take_the_place_of_the_second_scene_and_the_other_way_round(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    bpy.ops.neural_fields.composite()
    assert len(bpy.data.scenes) == 2
    bpy.ops.neural_fields.render_views(output=str(tmp_path), as_composite=True)
    assert list(bpy.data.scenes) == [scene]
    tree = compat.scene_compositor(scene)
    assert sum(node.type == "IMAGE" for node in tree.nodes) == 2
    bpy.ops.neural_fields.composite()
    assert len(bpy.data.scenes) == 2
    assert not any(node.type == "IMAGE" for node in tree.nodes)


def test_what_the_compositor_cannot_do_is_refused_before_anything_is_rendered(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    bpy.context.scene.render.engine = "NEURAL_FIELD"
    before = len(session.jobs())
    with pytest.raises(RuntimeError, match="rendered by the Neural Field engine itself"):
        bpy.ops.neural_fields.render_views(output=str(tmp_path), as_composite=True)
    assert len(session.jobs()) == before


def test_exr_is_linear_and_a_video_goes_with_the_pictures(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    bpy.ops.neural_fields.render_views(
        output=str(tmp_path), format="exr", video=True, normals=True, depth=True, **EVERYWHERE
    )
    names = {path.name for path in tmp_path.iterdir()}
    for frame in (3, 4, 5):
        kinds = ("view", "depth", "normal")
        assert {f"{kind}_{frame:04d}.exr" for kind in kinds} <= names
    assert "views.mp4" in names
    background = bpy.context.scene.camera.data.background_images[0]
    assert Path(background.image.filepath).name == "view_0003.exr"


def test_the_camera_and_the_scene_are_those_that_were_asked_though_others_are_shown_since(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene, camera = bpy.context.scene, bpy.context.scene.camera
    other = bpy.data.scenes.new("Other")
    added = bpy.data.cameras.new("Second")
    added_object = bpy.data.objects.new("Second", added)
    scene.collection.objects.link(added_object)

    def switch(event: object, record: session.JobRecord) -> None:
        bpy.context.window.scene = other
        scene.camera = added_object

    session.subscribe(switch)
    try:
        bpy.ops.neural_fields.render_views(output=str(tmp_path), **EVERYWHERE)
    finally:
        session.unsubscribe(switch)
    assert bpy.context.scene == other
    assert len(camera.data.background_images) == 1
    assert plane_of(camera).name in scene.objects
    assert not len(added.background_images)
    assert len(compat.strips_of(scene)) == 1
    assert other.sequence_editor is None
    written = json.loads(Path(sent(messages.RenderViews).cameras).read_text(encoding="utf-8"))
    assert written["frames"][0]["transform_matrix"][0][3] == pytest.approx(-0.3)
