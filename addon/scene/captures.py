# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a scene through its cameras into a capture: pictures and transforms.json."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..compat import forget_write_still, uses_compositor
from .cameras import Pose, bounds_of, pose_of
from .errors import SceneError
from .render_settings import capture_settings
from .stations import Station
from .time_maps import TimeMap
from .transforms import Shot, document, read_json, write_json

FINAL = "transforms.json"
UNFINISHED = "transforms_unfinished.json"
# The box is a promise to the training that nothing lies outside; this hides the pictures' last half
# pixel.
BOUNDS_MARGIN = 0.01
FEW_PICTURES = 20
PATIENCE_S = 0.02
"""For how long Blender is held up before it may go on in between."""


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """How a capture is taken. Where the scene moves, `time_map` gives each picture its time; every
    `hold_out`-th is for testing. `bounds` is a (2, 3) box to take the place of the measured one.
    """

    transparent: bool = True
    time_map: TimeMap | None = None
    hold_out: int = 8
    overwrite: bool = False
    bounds: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class CaptureProgress:
    """One more picture is there; `seconds` since the start."""

    done: int
    total: int
    seconds: float
    rendered: int
    """How many of `done` were rendered now and not kept from an earlier, interrupted capture."""


Renderer = Callable[[bpy.types.Scene], Iterator[None]]
"""Renders a scene to its output path. It yields while it is not done, so that Blender can go on."""


def render_at_once(scene: bpy.types.Scene) -> Iterator[None]:
    """Renders while Blender waits.

    Raises:
        SceneError: where Blender cannot.
    """
    try:
        bpy.ops.render.render(write_still=True, scene=scene.name)
    except RuntimeError as error:
        raise SceneError(
            f"Blender could not render: {error}", "Try Render Image by hand."
        ) from error
    finally:
        forget_write_still()
    yield from ()


def poses_along(
    stations: Sequence[Station], scene: bpy.types.Scene
) -> Iterator[tuple[Pose, bpy.types.Depsgraph]]:
    """The cameras' poses, each with the scene as it is evaluated at its frame.

    The frame is left where the last station put it.

    Raises:
        SceneError: for a camera that is missing or cannot be used.
    """
    for station in stations:
        if scene.frame_current != station.frame:
            scene.frame_set(station.frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        camera = scene.objects.get(station.camera)
        if camera is None or camera.type != "CAMERA":
            raise SceneError(
                f"There is no camera {station.camera!r} in the scene.", "Choose another."
            )
        yield pose_of(camera, depsgraph, scene), depsgraph


def warnings_about(stations: Sequence[Station], scene: bpy.types.Scene) -> list[str]:
    """What about the scene makes worse captures."""
    warnings = []
    if scene.render.use_motion_blur:
        warnings.append(
            "Motion blur was left out: a field cannot be learned from blurred pictures."
        )
    if uses_compositor(scene):
        warnings.append("The compositor was left out of the capture.")
    cameras = {station.camera for station in stations}
    blurred = [
        name
        for name in sorted(cameras)
        if name in scene.objects and scene.objects[name].data.dof.use_dof
    ]
    if blurred:
        warnings.append(
            f"Depth of field blurs the pictures of {', '.join(blurred[:3])}; switch it off."
        )
    if len(stations) < FEW_PICTURES:
        warnings.append(f"{len(stations)} pictures are few; 50 to 150 suit most scenes.")
    return warnings


def render_capture(
    scene: bpy.types.Scene,
    stations: Sequence[Station],
    folder: Path,
    options: CaptureOptions,
    render: Renderer = render_at_once,
) -> Iterator[CaptureProgress]:
    """Takes the pictures one by one and writes transforms.json when all are there. What it yields
    tells where it is, before the first picture and after each, or more often where something takes
    its time.

    Closing the iterator stops the capture; taken up again with the same cameras it goes on where it
    stopped. The scene's settings are put back in any case. Files that are not this capture's own
    are never touched.

    Raises:
        SceneError: where there is nothing to see, or the folder holds another capture.
    """
    if not stations:
        raise SceneError(
            "There are no cameras to render through.", "Add a camera rig, or select cameras."
        )
    with capture_settings(scene, options.transparent):
        started = paused = time.monotonic()
        poses: list[Pose] = []
        boxes: dict[int, NDArray[np.float64] | None] = {}
        """Around all that renders, by frame."""
        for pose, depsgraph in poses_along(stations, scene):
            poses.append(pose)
            if pose.frame not in boxes:
                boxes[pose.frame] = bounds_of(depsgraph)
            if time.monotonic() - paused > PATIENCE_S:
                yield CaptureProgress(0, len(stations), time.monotonic() - started, 0)
                paused = time.monotonic()
        bounds = _around(boxes.values())
        margin = BOUNDS_MARGIN * max(1e-3, (bounds[1] - bounds[0]).max())
        bounds = bounds + np.array([[-margin], [margin]])
        time_of = options.time_map.time_of if options.time_map else lambda _frame: None
        shots = [
            Shot(pose, f"images/{number:04d}.png", time_of(pose.frame))
            for number, pose in enumerate(poses, start=1)
        ]
        test = [shot.file_path for shot in shots[:: options.hold_out]] if options.hold_out else []
        plan = document(
            shots,
            bounds if options.bounds is None else options.bounds,
            not options.transparent,
            test if len(shots) > 1 else [],
        )
        if options.time_map:
            plan["neural_fields"]["time_map"] = options.time_map.values()
        plan["neural_fields"]["render"] = _render_fingerprint(scene)
        kept = _pictures_to_keep(folder, plan, options.overwrite)
        write_json(folder / UNFINISHED, plan)
        (folder / "images").mkdir(exist_ok=True)
        yield CaptureProgress(len(kept), len(stations), time.monotonic() - started, 0)
        yield from _render_all(scene, stations, plan["frames"], folder, kept, render)
        write_json(folder / FINAL, plan)
        (folder / UNFINISHED).unlink(missing_ok=True)


def write_camera_path(poses: Sequence[Pose], times: Sequence[float], path: Path) -> None:
    """Writes cameras without pictures, each at its time, to render a field through."""
    shots = [Shot(pose, "", time) for pose, time in zip(poses, times, strict=True)]
    write_json(path, document(shots))


def _around(boxes: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """The box around boxes.

    Raises:
        SceneError: where there is none.
    """
    seen = [box for box in boxes if box is not None]
    if not seen:
        raise SceneError("Nothing in the scene renders.", "Add an object, or show it in renders.")
    return np.stack([np.min(seen, axis=0)[0], np.max(seen, axis=0)[1]])


def _render_fingerprint(scene: bpy.types.Scene) -> dict[str, Any]:
    """What makes pictures of the same cameras differ in quality, so that a capture is not mixed
    from two.
    """
    values: dict[str, Any] = {"engine": scene.render.engine}
    if scene.render.engine == "CYCLES":
        values["samples"] = scene.cycles.samples
    return values


def _pictures_to_keep(folder: Path, plan: dict[str, Any], overwrite: bool) -> set[str]:
    """The pictures of an interrupted capture by the same plan.

    Raises:
        SceneError: where the folder holds something else and may not be overwritten.
    """
    if (folder / FINAL).is_file() and not overwrite:
        raise SceneError(
            f"There is already a capture in {folder}.",
            "Switch Overwrite on, or choose another folder.",
        )
    unfinished = folder / UNFINISHED
    there = {
        frame["file_path"] for frame in plan["frames"] if (folder / frame["file_path"]).exists()
    }
    if overwrite or not there:
        return set()
    before = read_json(unfinished) if unfinished.is_file() else {}
    if _comparable(before) != _comparable(plan):
        raise SceneError(
            f"There are other pictures in {folder / 'images'}.",
            "Switch Overwrite on, or choose another folder.",
        )
    return there


def _comparable(plan: dict[str, Any]) -> list[Any]:
    """What has to be equal for pictures to be the same; numbers as JSON gives them back."""
    own = plan.get("neural_fields", {})
    shared = [plan.get(name) for name in ("w", "h", "fl_x", "fl_y", "cx", "cy")]
    rest = [own.get(name) for name in ("render", "unbounded", "time_map")]
    return [shared, rest, plan.get("frames")]


def _render_all(
    scene: bpy.types.Scene,
    stations: Sequence[Station],
    frames: Sequence[dict[str, Any]],
    folder: Path,
    kept: set[str],
    render: Renderer,
) -> Iterator[CaptureProgress]:
    started, rendered = time.monotonic(), 0
    for number, (station, frame) in enumerate(zip(stations, frames, strict=True), start=1):
        if frame["file_path"] not in kept:
            if scene.frame_current != station.frame:
                scene.frame_set(station.frame)
            scene.camera = scene.objects[station.camera]
            for _ in _render_picture(scene, folder / frame["file_path"], render):
                spent = time.monotonic() - started
                yield CaptureProgress(number - 1, len(frames), spent, rendered)
            rendered += 1
        yield CaptureProgress(number, len(frames), time.monotonic() - started, rendered)


def _render_picture(scene: bpy.types.Scene, path: Path, render: Renderer) -> Iterator[None]:
    temporary = path.with_name(f".{path.stem}.part.png")
    scene.render.filepath = str(temporary)
    try:
        yield from render(scene)
        temporary.replace(path)
    except OSError as error:
        raise SceneError(
            f"{path} could not be written: {error.strerror}.",
            "Free some space or choose another folder.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
