# SPDX-License-Identifier: GPL-3.0-or-later
"""Movie clips whose camera Blender's own motion tracking has solved, as posed pictures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .cameras import Lens, Pose, rigid
from .errors import SceneError
from .transforms import Shot, document, write_json

_FEWEST_POINTS = 8
_MARGIN = 0.25
_SAMPLES = 64
_NOTICEABLE_PX = 0.5


@dataclass(frozen=True)
class ClipLens:
    """The clip's lens, with OpenCV's coefficients by their names in transforms.json."""

    lens: Lens
    distortion: dict[str, float]
    warning: str = ""


@dataclass(frozen=True)
class SolvedClip:
    """`poses` are in the scene's space, at frames of the clip, which count from 1."""

    lens: ClipLens
    poses: tuple[Pose, ...]
    points: NDArray[np.float64]


def solved_clip(clip: bpy.types.MovieClip, scene: bpy.types.Scene, step: int = 1) -> SolvedClip:
    """Every `step`-th solved camera of a clip.

    Where a camera of the scene follows the clip, its place in the scene counts: floor, origin and
    scale as the artist has set them up.

    Raises:
        SceneError: where the clip has no solution, or a lens that no capture can hold.
    """
    tracking = clip.tracking
    solution = tracking.objects.active.reconstruction if tracking.objects.active else None
    if solution is None or not solution.is_valid:
        solution = tracking.reconstruction
    cameras = sorted(solution.cameras, key=lambda camera: camera.frame)
    if not solution.is_valid or not cameras:
        raise SceneError(
            f"The camera of {clip.name} is not solved.",
            "Track features and press Solve Camera Motion in the Movie Clip Editor first.",
        )
    lens = clip_lens(clip)
    base = _place_in_scene(clip, scene)
    poses = tuple(
        Pose(clip.name, camera.frame, lens.lens, rigid(base @ camera.matrix))
        for camera in cameras[::step]
    )
    points = [base @ track.bundle for track in tracking.objects[0].tracks if track.has_bundle]
    return SolvedClip(lens, poses, np.array(points, dtype=np.float64).reshape(-1, 3))


def clip_lens(clip: bpy.types.MovieClip) -> ClipLens:
    """The lens that the clip was solved with, in pixels of its pictures.

    Polynomial distortion is OpenCV's; that of division is fitted by one.

    Raises:
        SceneError: where the clip has no size, or its distortion is of another kind.
    """
    camera = clip.tracking.camera
    width, height = (int(side) for side in clip.size)
    if width < 1 or height < 1:
        raise SceneError(f"The pictures of {clip.name} cannot be read.", "Relink the clip.")
    center_x, center_y = camera.principal_point_pixels
    focal = camera.focal_length_pixels
    # Blender counts the clip's rows from below, and stretches them by the aspect before solving.
    lens = Lens(
        width, height, focal, focal / camera.pixel_aspect, float(center_x), height - float(center_y)
    )
    model, warning = camera.distortion_model, ""
    if model == "POLYNOMIAL":
        values = {"k1": camera.k1, "k2": camera.k2, "k3": camera.k3}
    elif model == "BROWN" and not any((camera.brown_k4, camera.brown_p1, camera.brown_p2)):
        values = {"k1": camera.brown_k1, "k2": camera.brown_k2, "k3": camera.brown_k3}
    elif model == "DIVISION":
        values, missed = _fitted_division(camera.division_k1, camera.division_k2, lens)
        if missed > _NOTICEABLE_PX:
            warning = (
                f"The division distortion is met within {missed:.1f} pixels; solve with the "
                "polynomial one to be exact."
            )
    else:
        raise SceneError(
            f"{clip.name} was solved with a lens distortion ({model.title()}) that captures "
            "cannot hold.",
            "Choose Polynomial in the lens panel of the clip and solve again.",
        )
    return ClipLens(lens, {"p1": 0.0, "p2": 0.0, **values}, warning)


def picture_numbers(clip: bpy.types.MovieClip, frames: Sequence[int]) -> dict[int, int]:
    """For each frame of the clip, which frame of the movie or file of the sequence shows it."""
    first = 1
    if clip.source == "SEQUENCE":
        digits = re.findall(r"\d+", Path(bpy.path.abspath(clip.filepath)).stem)
        if not digits:
            raise SceneError(
                f"{clip.filepath} has no number in its name.", "Number the pictures of the clip."
            )
        first = int(digits[-1])
    return {frame: first + frame - 1 + clip.frame_offset for frame in frames}


def sequence_file(clip: bpy.types.MovieClip, number: int) -> Path:
    """The picture of an image sequence with this number."""
    path = Path(bpy.path.abspath(clip.filepath))
    found = list(re.finditer(r"\d+", path.stem))[-1]
    digits = f"{number:0{len(found[0])}d}"
    stem = path.stem[: found.start()] + digits + path.stem[found.end() :]
    return path.with_name(stem + path.suffix)


def write_clip_capture(
    solved: SolvedClip,
    files: dict[int, str],
    folder: Path,
    hold_out: int,
    bounds: NDArray[np.floating] | None = None,
) -> int:
    """Writes transforms.json of the frames that have a picture; returns how many.

    `files` are named relative to the folder, or absolute, by frames of the clip. Without `bounds`
    those of the tracked points are taken, if there are enough.

    Raises:
        SceneError: where no frame has a picture, or the file cannot be written.
    """
    shots = [Shot(pose, files[pose.frame]) for pose in solved.poses if pose.frame in files]
    if not shots:
        raise SceneError("None of the solved frames has a picture.", "Relink the clip.")
    if bounds is None and len(solved.points) >= _FEWEST_POINTS:
        bounds = _bounds_of_points(solved.points)
    held_out = [shot.file_path for shot in shots[::hold_out]] if hold_out else []
    plan = document(shots, bounds, True, held_out if len(shots) > hold_out else [])
    plan |= {name: value for name, value in solved.lens.distortion.items() if value or name in plan}
    write_json(folder / "transforms.json", plan)
    return len(shots)


def _place_in_scene(clip: bpy.types.MovieClip, scene: bpy.types.Scene) -> Matrix:
    """Where the camera that follows the clip stands without following it."""
    for item in scene.objects:
        for constraint in item.constraints:
            if constraint.type != "CAMERA_SOLVER" or constraint.mute:
                continue
            followed = scene.active_clip if constraint.use_active_clip else constraint.clip
            if followed != clip:
                continue
            own = item.matrix_parent_inverse @ item.matrix_basis
            return item.parent.matrix_world @ own if item.parent else own
    return Matrix()


def _fitted_division(k1: float, k2: float, lens: Lens) -> tuple[dict[str, float], float]:
    """OpenCV's k1, k2, k3 nearest to a division model within the picture, and how far it misses, in
    pixels.

    Source: Fitzgibbon 2001, "Simultaneous linear estimation of multiple view geometry and lens
    distortion", eq. 3: the radius without distortion is r / (1 + k1 r² + k2 r⁴).
    """
    corner = np.hypot(lens.width / 2 / lens.focal_x_px, lens.height / 2 / lens.focal_y_px)
    bent = np.linspace(0, corner, _SAMPLES + 1)[1:]
    straight = bent / (1 + k1 * bent**2 + k2 * bent**4)
    powers = straight[:, None] ** np.array([3, 5, 7])
    found, *_ = np.linalg.lstsq(powers, bent - straight, rcond=None)
    missed = np.abs(straight + powers @ found - bent).max() * lens.focal_x_px
    return dict(zip(("k1", "k2", "k3"), map(float, found), strict=True)), float(missed)


def _bounds_of_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box around what was tracked, without the outermost points, and some way around it."""
    lower, upper = np.percentile(points, [2, 98], axis=0)
    size = np.maximum(upper - lower, 0.2 * (upper - lower).max())
    center = (lower + upper) / 2
    return np.stack([center - size * (0.5 + _MARGIN), center + size * (0.5 + _MARGIN)])


def clip_by_name(name: str, scene: bpy.types.Scene) -> Any:
    """The named clip, or the scene's, or the only one.

    Raises:
        SceneError: where there is none.
    """
    clips = bpy.data.movieclips
    found = clips.get(name) if name else scene.active_clip
    if found is None and not name and len(clips) == 1:
        found = clips[0]
    if found is None:
        raise SceneError(
            f"There is no movie clip {name!r}." if name else "The scene has no movie clip.",
            "Open one in the Movie Clip Editor, or choose it as the scene's active clip.",
        )
    return found
