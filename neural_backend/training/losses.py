# SPDX-License-Identifier: GPL-3.0-or-later
"""How far what a field shows is from what the pictures show."""

from jaxtyping import Float
from torch import Tensor

from ..geometry.rays import RenderedRays


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
