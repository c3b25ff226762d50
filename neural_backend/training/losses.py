# SPDX-License-Identifier: GPL-3.0-or-later
"""How far what a field shows is from what the pictures show."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from ..geometry.rays import RenderedRays


class SurfaceSchedule(Protocol):
    """The part of a method's configuration that says when samples are held to pixels alone."""

    @property
    def surface(self) -> float: ...

    @property
    def surface_from(self) -> float: ...

    @property
    def surface_until(self) -> float: ...


def surface_share(schedule: SurfaceSchedule, fraction: float) -> float:
    """The share of the error that is each sample's own at this fraction of a training.

    Source: Zhang et al. 2025, "Radiance surfaces: optimizing surface representations with a 5D
        radiance field loss".
    Differs: a phase of an ordinary training, whose end is for the colors of views.
    """
    begun, over = fraction >= schedule.surface_from, fraction >= schedule.surface_until
    return schedule.surface if begun and not over else 0.0


def over_background(
    rendered: RenderedRays, background: Float[Tensor, "#rays 3"]
) -> Float[Tensor, "rays 3"]:
    """The color of rendered rays in front of `background`."""
    return rendered.rgb + (1 - rendered.accumulation)[:, None] * background


def pictures_over_background(
    rgba: Float[Tensor, "rays 4"], background: Float[Tensor, "#rays 3"]
) -> Float[Tensor, "rays 3"]:
    """The color of a picture's pixels, which have straight alpha, in front of `background`."""
    alpha = rgba[:, 3:]
    return rgba[:, :3] * alpha + (1 - alpha) * background


def squared_error(
    rgb: Float[Tensor, "rays 3"], target: Float[Tensor, "rays 3"]
) -> Float[Tensor, ""]:
    """The mean squared error of a color channel.

    Source: Mildenhall et al. 2020, "NeRF", eq. 6.
    Differs: the mean over rays and channels; the paper sums, which the learning rate of Adam does
        not notice.
    """
    return (rgb - target).square().mean()
