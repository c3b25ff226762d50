# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Generator

import numpy as np
import pytest
import torch
from torch import Tensor

from neural_backend.fields.image_field import ImageField, draw, pixel_points
from neural_backend.methods.image_fitting import ImageFittingConfig, fit_image
from neural_backend.training.metrics import psnr

SMALL = {"features": 48, "width": 48, "depth": 2, "steps": 250, "scale": 4.0, "learning_rate": 5e-3}


def rings(height: int = 32, width: int = 40) -> Tensor:
    """Sharp rings of three colors with about six periods a side."""
    points = pixel_points(height, width)
    radius = (points - torch.tensor([0.2, 0.1])).norm(dim=-1)
    colors = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.2, 0.9]])
    return colors[(radius * 9).long() % 3]


def last(steps: Generator) -> ImageField:
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def learned(encoding: str, seed: int = 0, **changes: float) -> ImageField:
    config = ImageFittingConfig(encoding=encoding, **{**SMALL, **changes})
    return last(fit_image(rings(), config, torch.Generator().manual_seed(seed)))


def quality(field: ImageField) -> float:
    truth = rings().numpy()
    return psnr(draw(field, *truth.shape[:2]).numpy(), truth)


def test_waves_let_a_network_learn_what_coordinates_alone_do_not() -> None:
    """The order of the paper's table 1, with its large steps from one to the next."""
    found = {name: quality(learned(name)) for name in ("none", "basic", "positional", "gaussian")}
    assert found["gaussian"] > found["none"] + 8
    assert found["positional"] > found["none"] + 3
    assert found["gaussian"] > found["positional"] + 3
    assert found["none"] < found["basic"] + 1


def test_a_smooth_picture_is_right_between_its_pixels_too() -> None:
    def waves(height: int, width: int) -> Tensor:
        points = pixel_points(height, width)
        return (0.5 + 0.4 * torch.sin(3 * points[..., :1] + 2 * points[..., 1:])).expand(-1, -1, 3)

    config = ImageFittingConfig(**{**SMALL, "scale": 1.0})
    field = last(fit_image(waves(24, 24), config, torch.Generator().manual_seed(0)))
    assert psnr(draw(field, 53, 53).numpy(), waves(53, 53).numpy()) > 32


def test_a_few_random_pixels_a_step_suffice_and_repeat_with_their_generator() -> None:
    first, again, other = (learned("gaussian", seed, batch=256) for seed in (0, 0, 1))
    assert quality(first) > 15
    np.testing.assert_array_equal(draw(first, 8, 8).numpy(), draw(again, 8, 8).numpy())
    assert not np.array_equal(draw(first, 8, 8).numpy(), draw(other, 8, 8).numpy())


def test_a_picture_of_nothing_that_is_a_number_stops_the_learning() -> None:
    with pytest.raises(FloatingPointError, match="step 0"):
        last(fit_image(rings() * torch.nan, ImageFittingConfig(**SMALL), torch.Generator()))
