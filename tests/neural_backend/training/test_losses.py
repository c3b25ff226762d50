# SPDX-License-Identifier: GPL-3.0-or-later
from types import SimpleNamespace

import torch

from neural_backend.geometry.rays import RenderedRays
from neural_backend.training.losses import (
    over_background,
    pictures_over_background,
    squared_error,
    surface_share,
)

BACKGROUND = torch.tensor([[0.2, 0.4, 1.0]])


def test_straight_and_premultiplied_colors_meet_over_a_background() -> None:
    rgba = torch.tensor([[1.0, 0.5, 0.0, 0.25], [0.1, 0.2, 0.3, 0.0], [0.1, 0.2, 0.3, 1.0]])
    rendered = RenderedRays(rgba[:, :3] * rgba[:, 3:], rgba[:, 3], torch.zeros(3))
    expected = torch.tensor([[0.4, 0.425, 0.75], [0.2, 0.4, 1.0], [0.1, 0.2, 0.3]])
    torch.testing.assert_close(over_background(rendered, BACKGROUND), expected)
    torch.testing.assert_close(pictures_over_background(rgba, BACKGROUND), expected)


def test_each_ray_may_have_its_own_background() -> None:
    empty = RenderedRays(torch.zeros(2, 3), torch.zeros(2), torch.full((2,), torch.inf))
    backgrounds = torch.rand(2, 3)
    assert torch.equal(over_background(empty, backgrounds), backgrounds)


def test_the_error_is_the_mean_over_rays_and_channels() -> None:
    error = squared_error(torch.tensor([[1.0, 0, 0], [0, 0, 0]]), torch.zeros(2, 3))
    assert float(error) == torch.tensor(1 / 6)


def test_samples_are_held_to_pixels_alone_in_one_phase_of_a_training() -> None:
    schedule = SimpleNamespace(surface=0.5, surface_from=0.25, surface_until=0.75)
    shares = [surface_share(schedule, fraction) for fraction in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == [0.0, 0.5, 0.5, 0.0, 0.0]
