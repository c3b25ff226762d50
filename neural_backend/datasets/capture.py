# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture: pictures whose cameras are known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Intrinsics
from .time_map import TimeMap

Split = Literal["train", "val", "test"]
MaskRole = Literal["object", "ignore"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture and its camera.

    `intrinsics` are those of the picture as it is stored. `camera_to_world` is a rigid (4, 4)
    float64 matrix, scale removed, in Blender's axes. `time` is in [0, 1]; `frame` is the timeline
    frame it was rendered at, if any. `image` is None for a camera without a picture (a camera
    path to render along). `mask` hides parts of the picture as the capture's `mask_role` says.
    """

    name: str
    intrinsics: Intrinsics
    camera_to_world: NDArray[np.float64]
    image: Path | None = None
    mask: Path | None = None
    time: float | None = None
    frame: int | None = None
    split: Split = "train"


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Views of one scene.

    `bounds` is the (2, 3) box, in scene units, where the things of interest are. `unbounded` says
    that the pictures also show what lies outside it (photos without alpha). `mask_role`: a mask's
    black part is empty space ("object", like alpha) or is to be ignored ("ignore", as in
    nerfstudio). `time_map` tells the timeline's frames of the times, where it is known.
    """

    source: Path
    views: tuple[View, ...]
    bounds: NDArray[np.float64]
    unbounded: bool
    mask_role: MaskRole = "object"
    time_map: TimeMap | None = None
    warnings: tuple[str, ...] = field(default=())

    def select(self, keep: Callable[[View], bool]) -> "Capture":
        """The same capture with only some of its views."""
        return replace(self, views=tuple(view for view in self.views if keep(view)))

    def split(self, *names: Split) -> "Capture":
        """The views of these splits."""
        return self.select(lambda view: view.split in names)

    @property
    def is_dynamic(self) -> bool:
        return bool(distinct_times(self.views))


def distinct_times(views: Iterable[View]) -> tuple[float, ...]:
    """The times of the views in rising order, each once; empty where they are not two or more."""
    times = sorted({view.time for view in views if view.time is not None})
    return tuple(times) if len(times) > 1 else ()
