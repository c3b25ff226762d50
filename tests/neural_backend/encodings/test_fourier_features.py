# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.encodings.fourier_features import FourierFeatures


def test_the_product_of_two_codes_is_a_gaussian_of_their_distance() -> None:
    """The mean of cos(2π b·d) over b ~ N(0, s²) is exp(-2 π² s² |d|²)."""
    scale, count = 0.5, 20_000
    encoding = FourierFeatures(3, count, scale, torch.Generator().manual_seed(0))
    points = torch.rand(8, 3)
    products = encoding(points) @ encoding(points).T / count
    distances = torch.cdist(points, points)
    kernel = torch.exp(-2 * math.pi**2 * scale**2 * distances**2)
    torch.testing.assert_close(products, kernel, atol=0.03, rtol=0)


def test_one_wave_gives_its_cosine_and_sine() -> None:
    encoding = FourierFeatures(2, 1, 1.0)
    encoding.waves.copy_(torch.tensor([[0.25, 1.0]]))
    torch.testing.assert_close(encoding(torch.tensor([1.0, 2.0])), torch.tensor([0.0, 1.0]))


def test_the_same_generator_draws_the_same_waves_and_the_state_keeps_them() -> None:
    first, again, other = (
        FourierFeatures(3, 16, 4.0, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.waves, again.waves)
    assert not torch.equal(first.waves, other.waves)
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.waves, other.waves)


def test_under_autocast_the_phases_keep_their_digits() -> None:
    encoding = FourierFeatures(3, 64, 8.0, torch.Generator().manual_seed(0))
    points = torch.rand(50, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        code = encoding(points)
    torch.testing.assert_close(code, encoding(points))


@pytest.mark.parametrize(("num_features", "scale"), [(0, 1.0), (4, 0.0)])
def test_no_features_and_no_scale_are_refused(num_features: int, scale: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        FourierFeatures(3, num_features, scale)
