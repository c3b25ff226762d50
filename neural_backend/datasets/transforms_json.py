# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads transforms.json in every dialect in use.

- NeRF synthetic: `camera_angle_x`, `file_path` without extension, splits in
  transforms_train/val/test.json.
- instant-ngp: `fl_x fl_y cx cy w h`, `k1 k2 k3 k4 p1 p2`, `is_fisheye`; each also per frame.
- nerfstudio: the same with `camera_model`, `mask_path` (black is ignored), `train_filenames` and
  its sisters. Poses are taken as they are in the file: `applied_transform`, which nerfstudio
  applied to what COLMAP solved, stays applied.
- D-NeRF: `time` of each frame.
- Our own, which other readers ignore: per frame `frame` (timeline frame) and `split`, and for the
  whole file `"neural_fields": {"version": 1, "generator": "Neural Fields 0.1.0", "bounds": [[x,
  y, z], [x, y, z]], "unbounded": false, "mask_role": "object", "time_map": {"frame_start": 1,
  "frame_end": 24}}`; each entry may be missing. The time map tells at which timeline frames the
  times 0 and 1 are.

Source: the loaders of nerf (load_blender.py), instant-ngp (nerf_loader.cu) and nerfstudio
(nerfstudio_dataparser.py).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry.cameras import Intrinsics
from ..protocol.errors import JobError
from .assembly import Findings
from .capture import Split, View
from .picture_files import PictureFinder, clean_name, picture_size
from .poses import read_pose
from .time_map import TimeMap

SPLIT_FILES: dict[str, Split] = {
    "transforms_train.json": "train",
    "transforms_val.json": "val",
    "transforms_test.json": "test",
}
SPLIT_LISTS: dict[str, Split] = {
    "train_filenames": "train",
    "val_filenames": "val",
    "test_filenames": "test",
}
PERSPECTIVE_KEYS: tuple[str, ...] = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
FISHEYE_KEYS: tuple[str, ...] = ("k1", "k2", "k3", "k4")
"""Distortion coefficients in the order of `Intrinsics.distortion`."""
_PERSPECTIVE_MODELS = (
    "OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "FULL_OPENCV",
)
_FISHEYE_MODELS = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
_UNSUPPORTED = ("latlong", "equirectangular", "orthographic", "ftheta_p0", "rolling_shutter")


def read_transforms(files: Sequence[Path], source: Path, need_pictures: bool = True) -> Findings:
    """What one transforms.json, or the files of several splits, say.

    Raises:
        JobError: where a file is damaged or describes cameras that cannot be.
    """
    findings = Findings(source=source, views=[])
    finder = PictureFinder(source if source.is_dir() else source.parent)
    scales = []
    for file in files:
        values = read_json(file)
        frames = values.get("frames")
        if not isinstance(frames, list):
            raise JobError(f"{file} has no list of frames.", "Choose a transforms.json of cameras.")
        reader = _FrameReader(file, values, finder, findings, need_pictures)
        for index, frame in enumerate(frames):
            if not isinstance(frame, dict):
                raise _wrong(
                    file, f"frame {index}", "an object with file_path and transform_matrix", frame
                )
            view, scale = reader.view(index, frame)
            findings.views.append(view)
            if scale != 1:
                scales.append(scale)
        findings.has_splits |= reader.has_splits or (
            SPLIT_FILES.get(file.name, "train") != "train" and bool(frames)
        )
        _read_own_block(findings, file, values)
        if any("mask_path" in frame for frame in frames) and "neural_fields" not in values:
            findings.mask_role = "ignore"
    if scales:
        findings.warnings.append(
            f"A scale of {min(scales):g} to {max(scales):g} was removed from {len(scales)} "
            "camera poses; their positions are unchanged."
        )
    findings.views = _with_own_names(findings.views)
    return findings


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        JobError: where there is none.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise JobError(f"{file} is no UTF-8 text.", "Save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise JobError(
            f"{file} is damaged or incomplete: {error.msg} in line {error.lineno}.",
            "Write or copy the file again.",
        ) from error
    except RecursionError as error:
        raise JobError(f"{file} is nested too deeply.", "Write the file again.") from error
    if not isinstance(values, dict):
        raise JobError(f"{file} holds no cameras.", "Choose a transforms.json of cameras.")
    return values


class _FrameReader:
    """Reads the frames of one file, whose own values stand in for what a frame leaves out."""

    def __init__(
        self,
        file: Path,
        values: dict[str, Any],
        finder: PictureFinder,
        findings: Findings,
        need_pictures: bool,
    ) -> None:
        self.file = file
        self.values = values
        self.finder = finder
        self.findings = findings
        self.need_pictures = need_pictures
        self.split_of = {
            clean_name(str(name)): split
            for key, split in SPLIT_LISTS.items()
            for name in values.get(key) or ()
        }
        self.has_splits = "test" in self.split_of.values()
        for key in _UNSUPPORTED:
            if values.get(key):
                raise JobError(
                    f"{file}: cameras with {key} are not supported.",
                    "Use perspective or fisheye pictures.",
                )

    def view(self, index: int, frame: dict[str, Any]) -> tuple[View, float]:
        name = clean_name(str(frame["file_path"])) if frame.get("file_path") else f"{index:04d}"
        if "transform_matrix" not in frame:
            raise JobError(
                f"{self.file}: frame {name} has no transform_matrix.", "Give it one or remove it."
            )
        pose, scale = read_pose(frame["transform_matrix"], self.file, name)
        image = self.finder.find(name) if frame.get("file_path") else None
        mask = self.finder.find(str(frame["mask_path"])) if frame.get("mask_path") else None
        if mask is None:
            mask = self.findings.mask_beside(self.finder, image)
        split = SPLIT_FILES.get(self.file.name, "train")
        split = self.split_of.get(name, split)
        if frame.get("split") in ("train", "val", "test"):
            split = frame["split"]
            self.has_splits = True
        timeline_frame = self.number(frame, "frame", name)
        view = View(
            name=name,
            intrinsics=self.intrinsics(frame, name, image),
            camera_to_world=pose,
            image=image,
            mask=mask,
            time=self.number(frame, "time", name),
            frame=None if timeline_frame is None else round(timeline_frame),
            split=split,
        )
        return view, scale

    def number(self, frame: dict[str, Any], key: str, name: str) -> float | None:
        """A frame's number, or the file's, or None."""
        value = frame.get(key)
        if value is None:
            value = self.values.get(key)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise _wrong(self.file, f"{key} of {name}", "a number", value)
        return float(value)

    def intrinsics(self, frame: dict[str, Any], name: str, image: Path | None) -> Intrinsics:
        def number(key: str) -> float | None:
            return self.number(frame, key, name)

        width, height = self.size(frame, name, image)
        focal_x, focal_y = number("fl_x"), number("fl_y")
        if focal_x is None:
            focal_x = self.focal_of_angle(frame, name, "x", width)
        if focal_y is None:
            focal_y = self.focal_of_angle(frame, name, "y", height)
        focal_x, focal_y = focal_x or focal_y, focal_y or focal_x
        if focal_x is None or focal_y is None:
            raise JobError(
                f"{self.file}: {name} has neither fl_x nor camera_angle_x.",
                "Add the focal length in pixels as fl_x.",
            )
        center_x, center_y = number("cx"), number("cy")
        model = str(
            frame.get("camera_model") or self.values.get("camera_model") or "OPENCV"
        ).upper()
        is_fisheye = model in _FISHEYE_MODELS or bool(
            frame.get("is_fisheye", self.values.get("is_fisheye"))
        )
        if model not in _PERSPECTIVE_MODELS + _FISHEYE_MODELS:
            raise JobError(
                f"{self.file}: the camera model {model} of {name} is not supported.",
                "Undistort the pictures to OPENCV or PINHOLE cameras.",
            )
        keys = FISHEYE_KEYS if is_fisheye else PERSPECTIVE_KEYS
        if "PINHOLE" in model:
            keys = ()
        lens = Intrinsics(
            width=width,
            height=height,
            focal_x_px=focal_x,
            focal_y_px=focal_y,
            center_x_px=width / 2 if center_x is None else center_x,
            center_y_px=height / 2 if center_y is None else center_y,
            model="OPENCV_FISHEYE" if is_fisheye else "OPENCV",
            distortion=trimmed([number(key) or 0.0 for key in keys]),
        )
        check_lens(lens, self.file, name)
        return lens

    def focal_of_angle(
        self, frame: dict[str, Any], name: str, axis: str, size: int
    ) -> float | None:
        angle = self.number(frame, f"camera_angle_{axis}", name)
        if angle is None:
            degrees = self.number(frame, f"{axis}_fov", name)
            angle = None if degrees is None else math.radians(degrees)
        if angle is None:
            return None
        if not 0 < angle < math.pi:
            raise _wrong(
                self.file, f"camera_angle_{axis} of {name}", "radians between 0 and π", angle
            )
        return size / 2 / math.tan(angle / 2)

    def size(self, frame: dict[str, Any], name: str, image: Path | None) -> tuple[int, int]:
        width, height = self.number(frame, "w", name), self.number(frame, "h", name)
        if width is not None and height is not None:
            if width < 1 or height < 1:
                raise _wrong(self.file, f"w and h of {name}", "a size in pixels", (width, height))
            return round(width), round(height)
        size = None if image is None else picture_size(image)
        if size is None and self.need_pictures:
            # This view is left out for its picture; any size will do until then.
            return 1, 1
        if size is None:
            raise JobError(
                f"{self.file}: the size of camera {name} is unknown.",
                "Add w and h, the size of its picture in pixels.",
            )
        return size


def trimmed(coefficients: Sequence[float]) -> tuple[float, ...]:
    """Distortion coefficients without the zeros at their end."""
    used = max((index + 1 for index, one in enumerate(coefficients) if one), default=0)
    return tuple(float(one) for one in coefficients[:used])


def check_lens(lens: Intrinsics, file: Path, name: str) -> None:
    """Raises JobError where a lens cannot be."""
    values = (
        lens.focal_x_px,
        lens.focal_y_px,
        lens.center_x_px,
        lens.center_y_px,
        *lens.distortion,
    )
    if not all(map(math.isfinite, values)) or lens.focal_x_px <= 0 or lens.focal_y_px <= 0:
        raise JobError(
            f"{file}: the lens of {name} is impossible: focal length {lens.focal_x_px:g} × "
            f"{lens.focal_y_px:g} px, center {lens.center_x_px:g}, {lens.center_y_px:g} px.",
            "A focal length must be positive. Correct the file or solve the cameras again.",
        )


def _read_own_block(findings: Findings, file: Path, values: dict[str, Any]) -> None:
    block = values.get("neural_fields")
    if not isinstance(block, dict):
        return
    if block.get("bounds") is not None:
        try:
            bounds = np.asarray(block["bounds"], dtype=np.float64)
        except (TypeError, ValueError):
            bounds = np.zeros(0)
        if (
            bounds.shape != (2, 3)
            or not np.isfinite(bounds).all()
            or not (bounds[0] < bounds[1]).all()
        ):
            raise _wrong(file, "bounds", "a lower and an upper corner", block["bounds"])
        findings.bounds = bounds
    if isinstance(block.get("unbounded"), bool):
        findings.unbounded = block["unbounded"]
    if block.get("mask_role") in ("object", "ignore"):
        findings.mask_role = block["mask_role"]
    if block.get("time_map") is not None:
        findings.time_map = _time_map(file, block["time_map"])


def _time_map(file: Path, values: Any) -> TimeMap:
    block = values if isinstance(values, dict) else {}
    start, end = block.get("frame_start"), block.get("frame_end")
    if not (type(start) is int and type(end) is int):
        raise _wrong(file, "time_map", "a frame_start and a frame_end", values)
    try:
        return TimeMap(start, end)
    except ValueError:
        raise JobError(
            f"{file}: the time map has no length: it starts and ends at frame {start}.",
            "Let it end at another frame.",
        ) from None


def _with_own_names(views: list[View]) -> list[View]:
    """Tells views apart that have one name, as those of a camera path without pictures may."""
    seen: dict[str, int] = {}
    unique = []
    for view in views:
        seen[view.name] = seen.get(view.name, 0) + 1
        again = seen[view.name]
        unique.append(view if again == 1 else replace(view, name=f"{view.name}#{again}"))
    return unique


def _wrong(file: Path, what: str, expected: str, got: object) -> JobError:
    return JobError(f"{file}: {what} should be {expected}, not {got!r:.80}.", "Correct the file.")
