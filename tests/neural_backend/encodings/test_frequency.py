# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.encodings.frequency import PositionalEncoding, annealing_window
from tests.reference import positional_encoding


def test_known_points_have_known_codes() -> None:
    """sin and cos of π/2 and π; of π and 2π."""
    code = PositionalEncoding(1, 2)(torch.tensor([[0.5], [-1.0]]))
    expected = torch.tensor([[0.5, 1.0, 0.0, 0.0, -1.0], [-1.0, 0.0, 0.0, -1.0, 1.0]])
    torch.testing.assert_close(code, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_frequencies", [0, 1, 10])
def test_it_agrees_with_the_slow_loop(num_frequencies: int) -> None:
    encoding = PositionalEncoding(3, num_frequencies).double()
    points = 2 * torch.rand(20, 3, dtype=torch.float64) - 1
    truth = torch.tensor([positional_encoding(p, num_frequencies) for p in points.tolist()])
    assert encoding.out_dim == truth.shape[-1]
    # The frequencies are kept in float32.
    torch.testing.assert_close(encoding(points), truth.double(), atol=2e-4, rtol=0)


def test_opposite_directions_have_different_codes() -> None:
    direction = torch.eye(3)
    code, opposite = PositionalEncoding(3, 4)(direction), PositionalEncoding(3, 4)(-direction)
    assert ((code - opposite).abs().amax(dim=-1) > 0.5).all()


def test_a_negative_number_of_frequencies_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        PositionalEncoding(3, -1)


def test_the_window_lets_waves_in_one_after_the_other() -> None:
    """None at 0, half of wave k half way from k to k + 1, all at their number and beyond."""
    for alpha, expected in {
        0.0: [0.0, 0.0, 0.0],
        0.5: [0.5, 0.0, 0.0],
        1.0: [1.0, 0.0, 0.0],
        1.5: [1.0, 0.5, 0.0],
        2.25: [1.0, 1.0, (1 - 0.5**0.5) / 2],
        3.0: [1.0, 1.0, 1.0],
        7.0: [1.0, 1.0, 1.0],
    }.items():
        window = annealing_window(torch.tensor(alpha), 3)
        torch.testing.assert_close(window, torch.tensor(expected), atol=1e-6, rtol=0)


def test_the_window_weighs_the_waves_of_all_coordinates_and_keeps_these() -> None:
    encoding, points = PositionalEncoding(3, 2), torch.rand(5, 3)
    whole = encoding(points).split([3, 3, 3, 3, 3], dim=-1)
    weighed = encoding(points, torch.tensor([1.0, 0.25])).split([3, 3, 3, 3, 3], dim=-1)
    for part, factor in enumerate([1.0, 1.0, 0.25, 1.0, 0.25]):
        torch.testing.assert_close(weighed[part], factor * whole[part])
    torch.testing.assert_close(encoding(points, torch.ones(2)), encoding(points))
