# SPDX-License-Identifier: GPL-3.0-or-later
"""What every reader of captures ends with: checks its findings and makes a `Capture` of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..geometry.normalization import estimate_bounds
from ..protocol.errors import JobError
from .capture import Capture, MaskRole, View
from .picture_files import PictureFinder, any_transparent, picture_size
from .poses import stand_at_one_point
from .time_map import TimeMap

_FEW_TIMES = 4


@dataclass
class Findings:
    """What a file of cameras says, before it is checked against the pictures.

    The views' intrinsics are the file's. `points` are (num, 3) surface points, `depths` the
    nearest and farthest distances that were seen, both None where the file has none. `has_splits`
    says that the views' splits come from the file.
    """

    source: Path
    views: list[View]
    warnings: list[str] = field(default_factory=list)
    bounds: NDArray[np.float64] | None = None
    unbounded: bool | None = None
    mask_role: MaskRole = "object"
    points: NDArray[np.float64] | None = None
    depths: tuple[float, float] | None = None
    has_splits: bool = False
    time_map: TimeMap | None = None

    def mask_beside(self, finder: PictureFinder, image: Path | None) -> Path | None:
        """The mask in a folder of masks beside an image; its kind says what masks mean here."""
        found = None if image is None else finder.mask_of(image)
        if found is None:
            return None
        mask, self.mask_role = found
        return mask


def assemble(findings: Findings, hold_out: int) -> Capture:
    """Keeps the views whose pictures fit their cameras and completes what the file left open.

    Raises:
        JobError: where no view is left, or the cameras cannot show any depth.
    """
    source, warnings = findings.source, findings.warnings
    if not findings.views:
        raise JobError(f"{source} has no cameras.", "Choose a capture whose cameras were solved.")
    views = _pictured(findings.views, source, warnings)
    views = _with_fitted_lenses(views, source, warnings)
    in_place = normalize_times(views, source, warnings)
    time_map = findings.time_map if in_place == views else None
    views = in_place
    positions = np.array([view.camera_to_world[:3, 3] for view in views])
    if stand_at_one_point(positions):
        raise JobError(
            f"{source}: all {len(views)} cameras stand at one point, so they show no depth.",
            "Take the pictures from different places; if they were, solve the cameras again.",
        )
    if not findings.has_splits:
        views = hold_out_views(views, hold_out)
    views = settle_motion(views, warnings)
    has_masks = findings.mask_role == "object" and any(view.mask is not None for view in views)
    has_alpha = has_masks or any_transparent(views)
    bounds = findings.bounds
    if bounds is None:
        bounds = estimate_bounds(
            np.array([view.camera_to_world for view in views]),
            [view.intrinsics for view in views],
            points=findings.points,
            depths=findings.depths,
            has_alpha=has_alpha,
        )
    return Capture(
        source=source,
        views=tuple(views),
        bounds=bounds,
        unbounded=not has_alpha if findings.unbounded is None else findings.unbounded,
        mask_role=findings.mask_role,
        time_map=time_map,
        warnings=tuple(warnings),
    )


def hold_out_views(views: Sequence[View], every: int) -> list[View]:
    """Makes every Nth training view a test view, by name; none where there are fewer than N."""
    training = sorted((view for view in views if view.split == "train"), key=lambda view: view.name)
    if every <= 0 or len(training) < every or any(view.split == "test" for view in views):
        return list(views)
    held_out = {view.name for view in training[::every]}
    return [
        replace(view, split="test") if view.name in held_out and view.split == "train" else view
        for view in views
    ]


def normalize_times(views: Sequence[View], source: Path, warnings: list[str]) -> list[View]:
    """Brings the views' times into [0, 1] where they are not.

    Raises:
        JobError: where some views have a time and others have none.
    """
    if not _all_timed(views, source):
        return list(views)
    times = np.array([view.time for view in views], dtype=np.float64)
    if times.min() >= 0 and times.max() <= 1:
        return list(views)
    first, length = float(times.min()), float(np.ptp(times))
    warnings.append(f"The times {first:g} to {first + length:g} were mapped to 0 to 1.")
    return [
        replace(view, time=(view.time - first) / length if length > 0 else 0.0)  # type: ignore[operator]
        for view in views
    ]


def check_times(views: Sequence[View], source: Path) -> None:
    """Raises JobError where times of a camera path are none of a capture's, 0 to 1."""
    if not _all_timed(views, source):
        return
    late = [view.name for view in views if not 0 <= view.time <= 1]  # type: ignore[operator]
    if late:
        raise JobError(
            f"{source}: {named(late)} at a time that is not between 0 and 1.",
            "Count time from 0, the capture's first moment, to 1, its last.",
        )


def _all_timed(views: Sequence[View], source: Path) -> bool:
    timeless = [view.name for view in views if view.time is None]
    if timeless and len(timeless) < len(views):
        raise JobError(
            f"{source}: {named(timeless)} without a time, while the others have one.",
            "Give every frame a time, or none.",
        )
    return not timeless


def settle_motion(views: Sequence[View], warnings: list[str]) -> list[View]:
    """Takes the times away where the training views show one moment only; says where few."""
    training = [view for view in views if view.split == "train"]
    times = {view.time for view in training} - {None}
    if not times or len(times) >= _FEW_TIMES:
        return list(views)
    if len(times) > 1:
        warnings.append(
            f"The training pictures show only {len(times)} moments; how the scene moves between "
            "them is a guess."
        )
        return list(views)
    warnings.append(
        f"All {len(training)} training pictures have the time {times.pop():g}, so the scene is "
        "learned as one that does not move."
    )
    return [replace(view, time=None) for view in views]


def named(names: Sequence[str]) -> str:
    """How many, and which: 'views a, b and 3 more are'."""
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{'view' if len(names) == 1 else f'{len(names)} views:'} {shown}{more}"


def _pictured(views: Sequence[View], source: Path, warnings: list[str]) -> list[View]:
    kept = [view for view in views if view.image is not None]
    missing = [view.name for view in views if view.image is None]
    if not kept:
        raise JobError(
            f"{source}: none of its {len(views)} pictures is there (the first is {missing[0]}).",
            "Put the pictures beside the file, in the folders that it names.",
        )
    if missing:
        warnings.append(f"Left out, as the picture is missing: {named(missing)}.")
    return kept


def _with_fitted_lenses(views: Sequence[View], source: Path, warnings: list[str]) -> list[View]:
    fitted, unreadable, misfits, resized = [], [], [], []
    for view in views:
        assert view.image is not None
        size, lens = picture_size(view.image), view.intrinsics
        if size is None:
            unreadable.append(view.name)
        elif size == (lens.width, lens.height):
            fitted.append(view)
        elif _is_rescale(size, (lens.width, lens.height)):
            fitted.append(replace(view, intrinsics=lens.resized(*size)))
            resized.append(f"{lens.width}×{lens.height} to {size[0]}×{size[1]}")
        else:
            misfits.append(
                f"{view.name} ({size[0]}×{size[1]}, its camera {lens.width}×{lens.height})"
            )
    if unreadable:
        warnings.append(f"Left out, as the picture cannot be read: {named(unreadable)}.")
    if misfits:
        warnings.append(f"Left out, as the picture has another shape: {named(misfits)}.")
    for change in dict.fromkeys(resized):
        warnings.append(f"Cameras were scaled from {change}, the size of the pictures.")
    if not fitted and misfits:
        raise JobError(
            f"{source}: no picture has the shape of its camera: {named(misfits)}.",
            "Use the pictures the cameras were solved for, uncropped; scaled ones are fine.",
        )
    if not fitted:
        raise JobError(
            f"{source}: none of the {len(views)} pictures can be read: {named(unreadable)}.",
            "Save them again as PNG or JPEG.",
        )
    return fitted


def _is_rescale(size: tuple[int, int], original: tuple[int, int]) -> bool:
    """Whether one size is the other scaled, each side off by up to a pixel of the smaller one."""
    (width, height), (original_width, original_height) = size, original
    difference = abs(width * original_height - height * original_width)
    return difference <= max(width + height, original_width + original_height)
