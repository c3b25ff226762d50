# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.kernels.compositing import Composited
from neural_backend.kernels.instant_ngp_types import LossSettings, RayTargets
from neural_backend.kernels.ray_loss import costs, ray_loss, ray_loss_by_torch

LOSSES = {
    "squares": LossSettings(0.0, 1.0, math.inf, 0.0),
    "huber": LossSettings(0.1, 1.0, math.inf, 0.0),
    "huber and distortion": LossSettings(0.1, 1.0, math.inf, 0.5),
    "a share of surfaces": LossSettings(0.1, 1.0, math.inf, 0.01, 0.3),
    "surfaces": LossSettings(0.0, 1.0, math.inf, 0.0, 1.0),
}


def make(rays: int, channels: int, louder: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What is seen (color, accumulation, distortion), gains, targets, backgrounds; who looks."""
    shapes = (rays, channels), (rays,), (rays,), (rays, 3), (rays, 3), (rays, 3)
    return [louder * torch.rand(shape) for shape in shapes], torch.rand(rays) < 0.8


def ask(function, parts: list[torch.Tensor], looked_at: torch.Tensor, loss: LossSettings):
    """Total, squared errors and the slopes of three times the total by all that is seen."""
    color, accumulation, distortion, gains, targets, backgrounds = parts
    learned = [part.clone().requires_grad_() for part in (color, accumulation, distortion, gains)]
    # As compositing hands them over: columns of one table.
    table = torch.cat([learned[0], *(part[:, None] for part in learned[1:3])], dim=1)
    channels = color.shape[1]
    of_rays = table[:, channels], accumulation, table[:, channels + 1], accumulation
    seen = Composited(table[:, :channels], *of_rays)
    none = torch.zeros(0)
    rays = RayTargets(none, none, none, none, none, none, targets, backgrounds, none)
    found = function(seen, learned[3], rays, looked_at, loss)
    slopes = torch.autograd.grad(3 * found.total, learned)
    return [part.detach() for part in (*found, *slopes)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rays", [0, 1, 64, 333])
@pytest.mark.parametrize("louder", [0.0, 1.0, 100.0])
def test_tritons_loss_and_slopes_are_those_of_the_twin(name, rays, louder, triton) -> None:
    loss = LOSSES[name]
    parts, looked_at = make(rays, 4 if loss.surface > 0 else 3, louder)
    parts[3] = torch.rand(rays, 3)
    found = ask(ray_loss, [part.to(triton) for part in parts], looked_at.to(triton), loss)
    expected = ask(ray_loss_by_torch, [part.double() for part in parts], looked_at, loss)
    for part, wanted in zip(found, expected, strict=True):
        largest = float(wanted.abs().max()) if wanted.numel() else 0.0
        torch.testing.assert_close(part.cpu().double(), wanted, atol=1e-6 * largest, rtol=1e-5)


def test_rays_that_are_not_looked_at_cost_nothing() -> None:
    parts, looked_at = make(20, 3, 1.0)
    parts[2].zero_()
    looked_at[:] = False
    total, squared_error, squared_errors, *slopes = ask(
        ray_loss_by_torch, parts, looked_at, LOSSES["huber"]
    )
    assert total == squared_error == 0
    assert not squared_errors.any()
    assert not any(slope.any() for slope in slopes)


def test_the_loss_is_square_for_small_errors_and_straight_for_large_ones() -> None:
    errors = torch.tensor([0.0, 0.05, -0.05, 0.1, 1.0, -1.0])
    assert costs(errors, 0.0).tolist() == pytest.approx((errors**2).tolist())
    assert costs(errors, 0.1).tolist() == pytest.approx([0, 0.025, 0.025, 0.1, 1.9, 1.9])
