# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes transforms.json, in the dialects that `transforms_json` reads."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry.cameras import Intrinsics
from .capture import Capture, Split, View
from .transforms_json import FISHEYE_KEYS, PERSPECTIVE_KEYS, SPLIT_FILES, SPLIT_LISTS

_NGP_HALF_BOX = 1.5
"""instant-ngp's unit box covers this many scene units to each side of the origin (its scale is
0.33)."""


def write_transforms(capture: Capture, file: Path) -> None:
    """Writes a capture's cameras with absolute paths to the pictures, which stay where they are."""
    pictures = {view.name: str(view.image) for view in capture.views if view.image is not None}
    masks = {view.name: str(view.mask) for view in capture.views if view.mask is not None}
    _write_json(file, _document(capture, capture.views, pictures, masks))


def write_nerf_synthetic(
    capture: Capture, folder: Path, pictures: Mapping[str, str], masks: Mapping[str, str]
) -> None:
    """Writes transforms_train.json and its sisters.

    `pictures` are paths in `folder` by the names of the views. Other readers of this dialect look
    at `camera_angle_x` alone; where it does not tell the whole lens, the rest is added.
    """
    lenses = {view.intrinsics for view in capture.views}
    plain = len(lenses) == 1 and all(_angle_tells_all(lens) for lens in lenses)
    for name, split in SPLIT_FILES.items():
        views = [view for view in capture.views if view.split == split]
        if not views and split != "train":
            continue
        values = _document(capture, views, pictures, masks, with_lens=not plain)
        angle = _lens_values(capture.views[0].intrinsics)["camera_angle_x"]
        values = {"camera_angle_x": angle, **values}
        for frame in values["frames"]:
            frame["file_path"] = "./" + str(Path(frame["file_path"]).with_suffix("").as_posix())
            frame.pop("split", None)
        _write_json(folder / name, values)


def write_instant_ngp(
    capture: Capture, folder: Path, pictures: Mapping[str, str], masks: Mapping[str, str]
) -> None:
    """Writes a transforms.json as instant-ngp's own scripts do."""
    values = _document(capture, capture.views, pictures, masks)
    reach = float(np.abs(capture.bounds).max()) / _NGP_HALF_BOX
    smallest = 4 if capture.unbounded else 1
    scale = 2 ** max(0, math.ceil(math.log2(max(reach, 1e-9))))
    _write_json(
        folder / "transforms.json", {"aabb_scale": min(128, max(smallest, scale)), **values}
    )


def write_nerfstudio(
    capture: Capture, folder: Path, pictures: Mapping[str, str], masks: Mapping[str, str]
) -> None:
    """Writes a transforms.json as nerfstudio's `ns-process-data` does, with lists of the splits."""
    values = _document(capture, capture.views, pictures, masks)
    for key, split in SPLIT_LISTS.items():
        values[key] = [pictures[view.name] for view in capture.views if view.split == split]
    _write_json(folder / "transforms.json", values)


def _document(
    capture: Capture,
    views: Sequence[View],
    pictures: Mapping[str, str],
    masks: Mapping[str, str],
    with_lens: bool = True,
) -> dict[str, Any]:
    lenses = list(dict.fromkeys(view.intrinsics for view in capture.views))
    varies = len(lenses) > 1
    values: dict[str, Any] = {}
    if with_lens and not varies:
        values |= _lens_values(lenses[0])
    values["neural_fields"] = {
        "version": 1,
        "generator": f"Neural Fields {_version()}",
        "bounds": capture.bounds.tolist(),
        "unbounded": capture.unbounded,
        "mask_role": capture.mask_role,
    }
    if capture.time_map is not None:
        values["neural_fields"]["time_map"] = asdict(capture.time_map)
    values["frames"] = []
    for view in views:
        frame = _frame(view, pictures.get(view.name, ""), masks.get(view.name, ""))
        if varies and with_lens:
            frame |= _lens_values(view.intrinsics)
        values["frames"].append(frame)
    return values


def _frame(view: View, picture: str, mask: str) -> dict[str, Any]:
    frame: dict[str, Any] = {"file_path": picture} if picture else {}
    if mask:
        frame["mask_path"] = mask
    frame["transform_matrix"] = view.camera_to_world.tolist()
    split: Split = view.split
    frame["split"] = split
    if view.time is not None:
        frame["time"] = view.time
    if view.frame is not None:
        frame["frame"] = view.frame
    return frame


def _lens_values(lens: Intrinsics) -> dict[str, Any]:
    is_fisheye = lens.model == "OPENCV_FISHEYE"
    keys = FISHEYE_KEYS if is_fisheye else PERSPECTIVE_KEYS
    values: dict[str, Any] = {
        "camera_model": lens.model,
        "w": lens.width,
        "h": lens.height,
        "fl_x": lens.focal_x_px,
        "fl_y": lens.focal_y_px,
        "cx": lens.center_x_px,
        "cy": lens.center_y_px,
        "camera_angle_x": 2 * math.atan(lens.width / (2 * lens.focal_x_px)),
        "camera_angle_y": 2 * math.atan(lens.height / (2 * lens.focal_y_px)),
    }
    values |= dict.fromkeys(keys[:4], 0.0)
    values |= dict(zip(keys, lens.distortion, strict=False))
    if is_fisheye:
        values["is_fisheye"] = True
    return values


def _angle_tells_all(lens: Intrinsics) -> bool:
    middle = (lens.width / 2, lens.height / 2)
    centered = np.allclose((lens.center_x_px, lens.center_y_px), middle, rtol=0, atol=1e-6)
    square = math.isclose(lens.focal_x_px, lens.focal_y_px, rel_tol=1e-9)
    return centered and square and not lens.is_distorted


def _version() -> str:
    from .. import __version__

    return __version__


def _write_json(file: Path, values: dict[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        temporary.write_text(
            json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
