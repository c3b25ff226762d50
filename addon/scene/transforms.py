# SPDX-License-Identifier: GPL-3.0-or-later
"""transforms.json: posed pictures as instant-ngp and nerfstudio know them, with this project's
block added.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cameras import Lens, Pose
from .errors import SceneError

VERSION = 1
# instant-ngp's unit box covers 1.5 scene units to each side of the origin (its scale of 0.33).
NGP_HALF_BOX = 1.5
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2", "is_fisheye")


@dataclass(frozen=True)
class Shot:
    """A pose, its picture relative to the file ('' for none), and its time in [0, 1]."""

    pose: Pose
    file_path: str = ""
    time: float | None = None


@dataclass(frozen=True)
class PosedImage:
    """A view of a capture as it was read; `lens` is None where neither JSON nor picture tells the
    size.
    """

    name: str
    camera_to_world: NDArray[np.float64]
    lens: Lens | None
    field_of_view: float
    image: Path | None
    frame: int | None
    is_distorted: bool = False


def document(
    shots: Sequence[Shot],
    bounds: NDArray[np.floating] | None = None,
    unbounded: bool = False,
    test_files: Iterable[str] = (),
) -> dict[str, Any]:
    """What transforms.json says about the shots; intrinsics are given for each frame where they
    vary.
    """
    lens = shots[0].pose.lens
    vary = any(shot.pose.lens != lens for shot in shots)
    values: dict[str, Any] = {"camera_model": "OPENCV", **lens_values(lens)}
    values |= dict.fromkeys(("k1", "k2", "p1", "p2"), 0.0)
    own: dict[str, Any] = {"version": VERSION, "unbounded": unbounded}
    if bounds is not None:
        reach = float(np.abs(bounds).max()) / NGP_HALF_BOX
        values["aabb_scale"] = min(128, 2 ** max(0, math.ceil(math.log2(max(reach, 1e-9)))))
        own["bounds"] = np.asarray(bounds, dtype=np.float64).tolist()
    values["neural_fields"] = own
    held_out = set(test_files)
    if held_out:
        files = [shot.file_path for shot in shots]
        values["train_filenames"] = [file for file in files if file not in held_out]
        values["val_filenames"] = []
        values["test_filenames"] = [file for file in files if file in held_out]
    values["frames"] = [_frame(shot, vary) for shot in shots]
    return values


def lens_values(lens: Lens) -> dict[str, float | int]:
    """A lens in the words of transforms.json."""
    return {
        "w": lens.width,
        "h": lens.height,
        "fl_x": lens.focal_x_px,
        "fl_y": lens.focal_y_px,
        "cx": lens.center_x_px,
        "cy": lens.center_y_px,
        "camera_angle_x": 2 * math.atan(lens.width / (2 * lens.focal_x_px)),
        "camera_angle_y": 2 * math.atan(lens.height / (2 * lens.focal_y_px)),
    }


def _frame(shot: Shot, with_lens: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"file_path": shot.file_path} if shot.file_path else {}
    values["transform_matrix"] = shot.pose.camera_to_world.tolist()
    values["frame"] = shot.pose.frame
    if shot.time is not None:
        values["time"] = shot.time
    if with_lens:
        values |= lens_values(shot.pose.lens)
    return values


def write_json(path: Path, values: Any) -> None:
    """Writes a file so that a reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise SceneError(
            f"{path} cannot be written: {error.strerror}.",
            "Choose a folder that you may write to, on a disk with free space.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        SceneError: where there is none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except ValueError as error:
        raise SceneError(
            f"{path} is no complete JSON file ({error}).", "Export or copy it again."
        ) from error
    if not isinstance(values, dict):
        raise SceneError(f"{path} holds no JSON object.", "Choose a transforms.json.")
    return values


def transforms_files(path: Path) -> list[Path]:
    """The transforms.json at a path, or those of a folder, split files included; [] where there is
    none.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    if (path / "transforms.json").is_file():
        return [path / "transforms.json"]
    return sorted(path.glob("transforms_*.json"))


def read_posed_images(path: Path) -> list[PosedImage]:
    """The views of a plain transforms.json; frames without a usable matrix are left out.

    Raises:
        SceneError: where the file cannot be read or has no frames.
    """
    values = read_json(path)
    frames = values.get("frames")
    if not isinstance(frames, list) or not frames:
        raise SceneError(f"{path} has no frames.", "Choose a transforms.json of a capture.")
    posed = []
    for number, frame in enumerate(frames):
        try:
            matrix = np.array(frame["transform_matrix"], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            continue
        if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
            continue
        full = np.eye(4)
        full[: len(matrix)] = matrix
        file_path = str(frame.get("file_path", ""))
        merged = {**values, **frame}
        posed.append(
            PosedImage(
                name=Path(file_path.replace("\\", "/")).stem or f"view {number}",
                camera_to_world=full,
                lens=_lens(merged),
                field_of_view=float(merged.get("camera_angle_x", 0.0)),
                image=find_picture(path.parent, file_path),
                frame=frame.get("frame"),
                is_distorted=any(merged.get(name) for name in DISTORTION),
            )
        )
    return posed


def find_picture(folder: Path, file_path: str) -> Path | None:
    """The picture a frame names: relative to the file; backslashes and no extension will do."""
    if not file_path:
        return None
    wanted = folder / file_path.replace("\\", "/")
    for suffix in ("", ".png", ".jpg", ".jpeg", ".JPG", ".exr"):
        found = wanted.with_name(wanted.name + suffix)
        if found.is_file():
            return found
    return None


def _lens(values: dict[str, Any]) -> Lens | None:
    try:
        width, height = int(values["w"]), int(values["h"])
        if "fl_x" in values:
            focal = float(values["fl_x"])
        else:
            focal = width / (2 * math.tan(float(values["camera_angle_x"]) / 2))
        return Lens(
            width,
            height,
            focal,
            float(values.get("fl_y", focal)),
            float(values.get("cx", width / 2)),
            float(values.get("cy", height / 2)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
