# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch
from torch import Tensor

from neural_backend.fields.image_field import (
    ENCODINGS,
    ImageField,
    draw,
    octaves_for,
    pixel_points,
)


def test_pixels_lie_at_their_centers_with_the_longer_side_two_long() -> None:
    points = pixel_points(2, 4)
    torch.testing.assert_close(points[0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(points[:, 0, 1], torch.tensor([-0.25, 0.25]))


def test_twice_the_resolution_looks_at_the_same_place() -> None:
    small, large = pixel_points(3, 5), pixel_points(6, 10)
    means = large.reshape(3, 2, 5, 2, 2).mean(dim=(1, 3))
    torch.testing.assert_close(means, small)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_draws_any_resolution_in_parts(encoding: str) -> None:
    field = ImageField(4, encoding, 8, 5.0, 16, 2, torch.Generator().manual_seed(0))
    picture = draw(field, 5, 7, points_at_once=8)
    assert picture.shape == (5, 7, 4)
    assert ((picture > 0) & (picture < 1)).all()
    torch.testing.assert_close(picture, draw(field, 5, 7))


def test_octaves_reach_about_three_deviations_of_the_gaussian() -> None:
    """The finest octave k has 2^k periods per side."""
    for scale in (1.0, 4.0, 10.0):
        assert 2 * scale < 2 ** (octaves_for(scale) - 1) < 5 * scale


def test_gaussian_waves_have_as_many_periods_a_side_as_asked() -> None:
    field = ImageField(features=4000, scale=10.0, generator=torch.Generator().manual_seed(0))
    waves: Tensor = field.encoding.waves
    assert 2 * float(waves.std()) == pytest.approx(10.0, rel=0.05)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="none, basic, positional, gaussian"):
        ImageField(encoding="hash")
