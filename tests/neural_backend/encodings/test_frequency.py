# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.encodings.frequency import PositionalEncoding
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
