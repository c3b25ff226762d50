# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of a field while it learns."""

import math
from dataclasses import replace

import numpy as np
import torch

from ..datasets.capture import Capture
from ..datasets.images import LoadedViews
from ..datasets.ray_batches import RayBatches
from ..geometry.rays import Rays
from ..methods.base import Method
from ..training.losses import over_background, pictures_over_background

MAX_VIEWS = 16
NUM_PIXELS = 1 << 16
"""Enough for a PSNR that is right to a few hundredths of a decibel, and quick with slow methods."""


def some_held_out_views(capture: Capture) -> Capture:
    """Held-out views spread evenly over the test split, or over val where there is none."""
    held_out = capture.split("test") if capture.split("test").views else capture.split("val")
    count = len(held_out.views)
    chosen = np.linspace(0, count - 1, min(count, MAX_VIEWS)).astype(int)
    return replace(held_out, views=tuple(held_out.views[index] for index in chosen))


class HeldOut:
    """Pixels of held-out views, over white where they are transparent, always the same ones."""

    def __init__(self, loaded: LoadedViews, device: torch.device) -> None:
        batches = RayBatches(loaded, device)
        count = min(NUM_PIXELS, batches.num_pixels)
        batch = batches.draw(count, torch.Generator().manual_seed(0))
        self._num_views = len(loaded.views)
        assert batch.rays.views is not None
        self._views = batch.rays.views
        # New cameras to the field: it knows no exposure or code of theirs.
        self._rays = Rays(batch.rays.origins, batch.rays.directions, batch.rays.times)
        self._white = torch.ones(1, 3, device=device)
        self._truth = pictures_over_background(batch.rgba, self._white)

    def psnr(self, method: Method) -> float | None:
        """Decibels, the mean over the views; None where that is no finite number."""
        seen = over_background(method.render_rays(self._rays), self._white).clamp(0, 1)
        errors = (seen - self._truth).square().mean(dim=1).double()
        count = torch.bincount(self._views, minlength=self._num_views)
        totals = torch.zeros(self._num_views, dtype=torch.float64, device=errors.device)
        totals.index_add_(0, self._views, errors)
        means = (totals / count)[count > 0]
        value = float(-10 * means.log10().mean())
        return value if math.isfinite(value) else None
