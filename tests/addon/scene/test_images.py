# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.compat import shader_nodes
from neural_fields.addon.scene import images
from neural_fields.addon.scene.errors import SceneError
from PIL import Image

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture
def camera(bpy: ModuleType) -> Any:
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    return camera


def write_sequence(folder: Path, numbers: list[int]) -> list[Path]:
    """Pictures whose red says their number."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"view_{number:04d}.png" for number in numbers]
    for number, file in zip(numbers, files, strict=True):
        Image.fromarray(np.full((4, 6, 3), (number, 0, 0), np.uint8)).save(file)
    return files


def red_at(bpy: ModuleType, background: Any, frame: int) -> int:
    """The red of the picture that the background shows at a frame."""
    bpy.context.scene.frame_set(frame)
    user, image = background.image_user, background.image
    # Blender picks the file by this rule when it draws; the wheel has no window to draw in.
    user.frame_current = frame
    number = min(max(frame - user.frame_start + 1, 1), user.frame_duration) + user.frame_offset
    path = Path(bpy.path.abspath(image.filepath))
    with Image.open(path.with_name(f"view_{number:04d}.png")) as picture:
        return int(np.array(picture)[0, 0, 0])


def test_each_frame_of_the_timeline_has_its_own_picture(
    bpy: ModuleType, camera: Any, tmp_path: Path
) -> None:
    files = write_sequence(tmp_path / "views", [21, 22, 23, 24])
    image = images.set_background_sequence(camera, files, [21, 22, 23, 24])
    (background,) = camera.data.background_images
    assert image.source == "SEQUENCE"
    assert camera.data.show_background_images
    assert background.image_user.use_auto_refresh
    assert [red_at(bpy, background, frame) for frame in (20, 21, 22, 24, 30)] == [
        21,
        21,
        22,
        24,
        24,
    ]


def test_pictures_may_play_at_other_frames_than_their_numbers(
    bpy: ModuleType, camera: Any, tmp_path: Path
) -> None:
    files = write_sequence(tmp_path / "views", [1, 2, 3])
    images.set_background_sequence(camera, files, [101, 102, 103])
    (background,) = camera.data.background_images
    assert [red_at(bpy, background, frame) for frame in (101, 102, 103)] == [1, 2, 3]


def test_blender_itself_shows_the_right_picture_at_each_frame(
    bpy: ModuleType, camera: Any, tmp_path: Path
) -> None:
    """Through a texture with the same settings: a background is only drawn in a window."""
    files = write_sequence(tmp_path / "views", [7, 8, 9])
    image = images.set_background_sequence(camera, files, [7, 8, 9])
    user = camera.data.background_images[0].image_user
    bpy.ops.mesh.primitive_plane_add(size=20)
    material = bpy.data.materials.new("Screen")
    tree = shader_nodes(material)
    nodes, links = tree.nodes, tree.links
    nodes.clear()
    texture, glow = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    texture.image = image
    for name in ("frame_start", "frame_offset", "frame_duration", "use_auto_refresh"):
        setattr(texture.image_user, name, getattr(user, name))
    links.new(texture.outputs[0], glow.inputs[0])
    links.new(glow.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(material)
    scene = bpy.context.scene
    camera.location = (0.0, 0.0, 3.0)
    scene.camera = camera
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 4
    seen = []
    for frame in (7, 8, 9):
        scene.frame_set(frame)
        scene.render.filepath = str(tmp_path / f"seen_{frame}.png")
        bpy.ops.render.render(write_still=True)
        with Image.open(scene.render.filepath) as picture:
            seen.append(int(np.array(picture)[2, 2, 0]))
    assert seen == [7, 8, 9]


def test_rendering_again_renews_the_background_and_adds_none(
    bpy: ModuleType, camera: Any, tmp_path: Path
) -> None:
    images.set_background_sequence(camera, write_sequence(tmp_path / "views", [1, 2]), [1, 2])
    files = write_sequence(tmp_path / "views", [2, 3, 4])
    camera.data.background_images[0].alpha = 0.5
    images.set_background_sequence(camera, files, [2, 3, 4])
    (background,) = camera.data.background_images
    assert background.image_user.frame_duration == 3
    assert background.alpha == 0.5
    assert red_at(bpy, background, 4) == 4


def test_another_run_hides_the_background_of_the_one_before(camera: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        images.set_background_sequence(camera, write_sequence(tmp_path / name, [1, 2]), [1, 2])
    assert [found.show_background_image for found in camera.data.background_images] == [False, True]


def test_paths_are_relative_in_a_saved_file_and_still_right_when_it_has_moved(
    bpy: ModuleType, camera: Any, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    files = write_sequence(tmp_path / "elsewhere", [1, 2])
    assert images.relative_path(files[0]) == str(files[0])
    project.mkdir()
    files = write_sequence(project / "views", [1, 2])
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    images.set_background_sequence(camera, files, [1, 2])
    bpy.context.scene.camera = camera
    bpy.ops.wm.save_mainfile()
    moved = project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "scene.blend"))
    background = bpy.data.objects["Camera"].data.background_images[0]
    assert background.image.filepath == "//views/view_0001.png"
    assert background.image.source == "SEQUENCE"
    assert red_at(bpy, background, 2) == 2


def test_a_sequence_with_gaps_is_refused(camera: Any, tmp_path: Path) -> None:
    files = write_sequence(tmp_path, [1, 3])
    with pytest.raises(SceneError, match="gaps"):
        images.set_background_sequence(camera, files, [1, 3])
    assert not camera.data.background_images


def test_a_picture_that_is_not_there_is_named(camera: Any, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"none_0001\.png"):
        images.set_background_still(camera, tmp_path / "none_0001.png")
