# SPDX-License-Identifier: GPL-3.0-or-later
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import session
from neural_fields.addon.scene import clips
from neural_fields.addon.scene.cameras import Lens
from PIL import Image

from neural_backend.datasets.loading import load_capture
from neural_backend.geometry.cameras import project
from neural_backend.jobs.view_files import write_video
from tests.worker_python import WORKER_PYTHON

sys.path.insert(0, str(Path(__file__).parent))

from clip_scene import (
    FOCAL_PX,
    NUM_FRAMES,
    SIZE,
    known_cameras,
    known_points,
    similarity,
    solve,
    write_pictures,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

DISTORTION = (-0.12, 0.03)


@pytest.fixture
def clip(bpy: ModuleType, tmp_path: Path) -> Any:
    files = write_pictures(bpy, tmp_path)
    clip = bpy.data.movieclips.load(str(files[0]))
    solve(bpy, clip, DISTORTION)
    return clip


def test_the_capture_has_the_cameras_up_to_a_similarity_and_the_very_lens(
    bpy: ModuleType, clip: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "capture"
    bpy.ops.neural_fields.capture_from_clip(folder=str(folder))
    capture = load_capture(folder)
    assert len(capture.views) == NUM_FRAMES
    lens = capture.views[0].intrinsics
    assert (lens.width, lens.height) == SIZE
    assert (lens.focal_x_px, lens.focal_y_px) == pytest.approx((FOCAL_PX, FOCAL_PX), rel=1e-4)
    assert (lens.center_x_px, lens.center_y_px) == pytest.approx((166.0, 116.0), abs=1e-3)
    assert lens.distortion[:2] == pytest.approx(DISTORTION, abs=1e-5)
    truth = np.array(known_cameras())
    found = np.array([view.camera_to_world for view in capture.views])
    scale, rotation, shift = similarity(found[:, :3, 3], truth[:, :3, 3])
    np.testing.assert_allclose(
        scale * found[:, :3, 3] @ rotation.T + shift, truth[:, :3, 3], atol=2e-4
    )
    np.testing.assert_allclose(rotation @ found[:, :3, :3], truth[:, :3, :3], atol=2e-4)
    assert [view.image.name for view in capture.views] == [
        f"f_{number + 11:04d}.png" for number in range(NUM_FRAMES)
    ]
    assert capture.unbounded
    assert Path(bpy.context.scene.neural_fields.training.capture) == folder


def test_tracked_points_project_to_where_they_were_tracked(
    bpy: ModuleType, clip: Any, tmp_path: Path
) -> None:
    """The whole chain at once: pose, lens, distortion and the direction in which rows run."""
    folder = tmp_path / "capture"
    bpy.ops.neural_fields.capture_from_clip(folder=str(folder))
    for number, view in enumerate(load_capture(folder).views, start=1):
        for track in clip.tracking.tracks:
            point = np.array(track.bundle)
            seen = (point - view.camera_to_world[:3, 3]) @ view.camera_to_world[:3, :3]
            marker = track.markers.find_frame(number).co
            tracked = (marker[0] * SIZE[0], (1 - marker[1]) * SIZE[1])
            np.testing.assert_allclose(project(view.intrinsics, seen), tracked, atol=0.05)


def test_what_follows_the_clip_in_the_scene_says_where_it_stands(
    bpy: ModuleType, clip: Any, tmp_path: Path
) -> None:
    """Floor, origin and scale that an artist has set are on the camera that follows the clip."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (3.0, -1.0, 2.0), (0.3, 0.1, 1.2)
    camera.scale = (2.5, 2.5, 2.5)
    constraint = camera.constraints.new("CAMERA_SOLVER")
    constraint.use_active_clip, constraint.clip = False, clip
    folder = tmp_path / "capture"
    bpy.ops.neural_fields.capture_from_clip(folder=str(folder), frame_step=7)
    views = load_capture(folder).views
    assert len(views) == 3
    for view, frame in zip(views, (1, 8, 15), strict=True):
        scene.frame_set(frame)
        world = np.array(camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)
        np.testing.assert_allclose(view.camera_to_world[:3, 3], world[:3, 3], atol=1e-4)
        np.testing.assert_allclose(view.camera_to_world[:3, :3], world[:3, :3] / 2.5, atol=1e-4)


def test_bounds_hold_the_tracked_points_or_are_the_artists_box(
    bpy: ModuleType, clip: Any, tmp_path: Path
) -> None:
    bpy.ops.neural_fields.capture_from_clip(folder=str(tmp_path / "tracked"))
    lower, upper = load_capture(tmp_path / "tracked").bounds
    points = np.array([track.bundle for track in clip.tracking.tracks])
    assert len(points) == len(known_points())
    assert (points >= lower).all()
    assert (points <= upper).all()
    bpy.ops.neural_fields.add_bounds()
    bpy.context.object.location = (1.0, 2.0, 3.0)
    bpy.ops.neural_fields.capture_from_clip(folder=str(tmp_path / "boxed"))
    lower, upper = load_capture(tmp_path / "boxed").bounds
    np.testing.assert_allclose((lower + upper) / 2, (1, 2, 3), atol=1e-5)


def test_a_movies_frames_are_written_by_the_worker(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = write_pictures(bpy, tmp_path)
    for _ in write_video(tmp_path / "film.mp4", pictures, 24.0):
        pass
    clip = bpy.data.movieclips.load(str(tmp_path / "film.mp4"))
    assert clip.source == "MOVIE"
    clip.frame_offset = 2
    solve(bpy, clip)
    monkeypatch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
    folder = tmp_path / "capture"
    try:
        bpy.ops.neural_fields.capture_from_clip(folder=str(folder), hold_out=0)
    finally:
        session.stop()
    views = load_capture(folder).views
    assert [view.image.name for view in views] == [f"{number:04d}.png" for number in range(3, 16)]
    # Two frames were skipped, so the first camera sees the third picture.
    level = np.asarray(Image.open(views[0].image)).mean() / 255
    assert level == pytest.approx(np.asarray(Image.open(pictures[2])).mean() / 255, abs=0.03)


def test_division_is_met_by_the_polynomial_within_a_fraction_of_a_pixel() -> None:
    lens = Lens(1920, 1080, 1500.0, 1500.0, 960.0, 540.0)
    values, missed = clips._fitted_division(-0.05, 0.01, lens)
    assert missed < 0.05
    bent = np.linspace(0.01, 0.7, 50)
    straight = bent / (1 - 0.05 * bent**2 + 0.01 * bent**4)
    again = straight * (
        1 + values["k1"] * straight**2 + values["k2"] * straight**4 + values["k3"] * straight**6
    )
    np.testing.assert_allclose(again * 1500, bent * 1500, atol=0.1)
    assert clips._fitted_division(0.0, 0.0, lens)[1] < 1e-9


def test_what_cannot_be_a_capture_is_refused_in_words(
    bpy: ModuleType, clip: Any, tmp_path: Path
) -> None:
    clip.tracking.camera.distortion_model = "NUKE"
    with pytest.raises(RuntimeError, match="Nuke"):
        bpy.ops.neural_fields.capture_from_clip()
    with pytest.raises(RuntimeError, match="no movie clip 'other'"):
        bpy.ops.neural_fields.capture_from_clip(clip="other")
    raw = bpy.data.movieclips.load(str(tmp_path / "f_0012.png"))
    with pytest.raises(RuntimeError, match="is not solved"):
        bpy.ops.neural_fields.capture_from_clip(clip=raw.name)
    (tmp_path / "transforms.json").write_text(json.dumps({}))
    clip.tracking.camera.distortion_model = "POLYNOMIAL"
    with pytest.raises(RuntimeError, match="already a capture"):
        bpy.ops.neural_fields.capture_from_clip(clip=clip.name, folder=str(tmp_path))
