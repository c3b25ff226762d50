# SPDX-License-Identifier: GPL-3.0-or-later
"""What about a capture would make the field that is learned from it worse."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import project
from .capture import Capture, View
from .picture_quality import PictureQuality, blurred, exposure_jumps

FEW_VIEWS = 20
_FAR = 4.0
"""Times half the bounds' diagonal: what lies farther out is learned ever more coarsely."""


_ROOM = 0.01
"""Share of the bounds that is left around the outermost camera."""


@dataclass(frozen=True)
class Problem:
    """A kind, which names the fix, a sentence for the user, and the views it is about."""

    kind: str
    sentence: str
    views: tuple[View, ...] = ()


def capture_problems(capture: Capture, qualities: Sequence[PictureQuality | None]) -> list[Problem]:
    """All problems of a capture; `qualities` are of its views, None for unreadable pictures."""
    unreadable = [view for view, one in zip(capture.views, qualities, strict=True) if one is None]
    readable = [
        (view, one) for view, one in zip(capture.views, qualities, strict=True) if one is not None
    ]
    views, measured = [view for view, _ in readable], [one for _, one in readable]
    found: list[Problem | None] = [
        _about(
            "unreadable",
            unreadable,
            "cannot be read",
            "cannot be read",
            "Leave {them} out, or save {them} again.",
        ),
        *(Problem("note", warning) for warning in capture.warnings),
        _few_views(capture),
        _blur(views, measured),
        _exposure(views, measured),
        _sizes(views, measured),
        _alpha(views, measured),
        _past_bounds(capture),
        _outside_bounds(capture),
    ]
    return [problem for problem in found if problem is not None]


def bounds_for(capture: Capture, views: Sequence[View]) -> NDArray[np.float64]:
    """The capture's bounds, (2, 3), wide enough for the positions of these views as well."""
    if not views:
        return capture.bounds
    positions = np.array([view.camera_to_world[:3, 3] for view in views])
    corners = np.concatenate([capture.bounds, positions])
    box = np.stack([corners.min(axis=0), corners.max(axis=0)])
    margin = _ROOM * np.ptp(box, axis=0)
    return box + np.stack([-margin, margin])


def sees_box(view: View, bounds: NDArray[np.floating]) -> bool:
    """Whether any of a grid of points in the (2, 3) box, or the camera's own place, is in view."""
    position = view.camera_to_world[:3, 3]
    if ((position >= bounds[0]) & (position <= bounds[1])).all():
        return True
    axes = [np.linspace(low, high, 7) for low, high in zip(bounds[0], bounds[1], strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = (points - position) @ view.camera_to_world[:3, :3]
    seen = seen[seen[:, 2] < -1e-6]
    if not len(seen):
        return False
    places = project(view.intrinsics, seen)
    size = (view.intrinsics.width, view.intrinsics.height)
    return bool(((places >= 0) & (places <= size)).all(axis=-1).any())


def _about(kind: str, views: Sequence[View], one: str, many: str, remedy: str) -> Problem | None:
    """The sentence for `one` view or for `many`; `{them}` in the remedy stands for it or them."""
    if not views:
        return None
    found = f"1 picture {one}" if len(views) == 1 else f"{len(views)} pictures {many}"
    advice = remedy.format(them="it" if len(views) == 1 else "them")
    return Problem(kind, f"{found}. {advice}", tuple(views))


def _few_views(capture: Capture) -> Problem | None:
    count = sum(view.split == "train" for view in capture.views)
    if count >= FEW_VIEWS:
        return None
    return Problem(
        "few_views", f"{count} pictures to learn from are few; 50 to 150 suit most scenes."
    )


def _blur(views: Sequence[View], measured: Sequence[PictureQuality]) -> Problem | None:
    soft = [view for view, odd in zip(views, blurred(measured), strict=True) if odd]
    return _about(
        "blurred",
        soft,
        "is blurred",
        "are blurred",
        "Leave {them} out: a field learns the blur as well.",
    )


def _exposure(views: Sequence[View], measured: Sequence[PictureQuality]) -> Problem | None:
    jumps = [view for view, odd in zip(views, exposure_jumps(measured), strict=True) if odd]
    return _about(
        "exposure",
        jumps,
        "is much brighter or darker than those around it",
        "are much brighter or darker than those around them",
        "Leave {them} out, or take the pictures with a fixed exposure.",
    )


def _sizes(views: Sequence[View], measured: Sequence[PictureQuality]) -> Problem | None:
    sizes = Counter((one.width, one.height) for one in measured)
    if len(sizes) < 2:
        return None
    usual = sizes.most_common(1)[0][0]
    others = [
        view for view, one in zip(views, measured, strict=True) if (one.width, one.height) != usual
    ]
    named = ", ".join(f"{width} × {height}" for width, height in list(sizes)[:4])
    than = f"of another size than the usual {usual[0]} × {usual[1]} (there are {named})"
    return _about(
        "mixed_sizes",
        others,
        f"is {than}",
        f"are {than}",
        "Leave {them} out unless that is on purpose: cropped pictures do not fit their cameras.",
    )


def _alpha(views: Sequence[View], measured: Sequence[PictureQuality]) -> Problem | None:
    opaque = [view for view, one in zip(views, measured, strict=True) if not one.is_transparent]
    # Masks do for an opaque picture what alpha does.
    opaque = [view for view in opaque if view.mask is None]
    if not opaque or len(opaque) == len(views):
        return None
    return _about(
        "mixed_alpha",
        opaque,
        "shows its background while the others are transparent",
        "show their background while the others are transparent",
        "Leave {them} out, or render {them} with a transparent film.",
    )


def _past_bounds(capture: Capture) -> Problem | None:
    lost = [view for view in capture.views if not sees_box(view, capture.bounds)]
    return _about(
        "past_bounds",
        lost,
        "shows nothing of the bounds",
        "show nothing of the bounds",
        "Leave {them} out, or move the bounds to where the cameras look.",
    )


def _outside_bounds(capture: Capture) -> Problem | None:
    """Only of pictures with surroundings: around a cut-out subject cameras stand outside."""
    if not capture.unbounded:
        return None
    center = capture.bounds.mean(axis=0)
    half = np.linalg.norm(capture.bounds[1] - capture.bounds[0]) / 2
    far = [
        view
        for view in capture.views
        if np.linalg.norm(view.camera_to_world[:3, 3] - center) > _FAR * half
    ]
    return _about(
        "outside_bounds",
        far,
        "was taken far outside the bounds",
        "were taken far outside the bounds",
        "Widen the bounds: what lies outside of them is learned coarsely.",
    )
