# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.fields.gaussian_mixture import GaussianMixture
from neural_backend.fields.shape import length
from neural_backend.geometry.gradients import gradient

MIXTURE = GaussianMixture(
    ((-0.5, 0.0, 0.0), (0.6, 0.2, 0.0), (0.0, 0.0, 0.8)), (0.4, 0.3, 0.2), (1.0, 0.8, 1.5), 0.4
)


def points_in_space(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.rand(count, 3, dtype=torch.float64, generator=generator) - 2


def test_one_gaussian_is_a_ball() -> None:
    """w exp(-r² / 2σ²) = level at r = σ √(2 ln(w / level))."""
    blob = GaussianMixture(((0.2, 0.0, 0.0),), (0.5,), (2.0,), 0.5)
    radius = 0.5 * math.sqrt(2 * math.log(4.0))
    directions = torch.nn.functional.normalize(points_in_space(100), dim=-1)
    center = torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64)
    on_surface = blob.distance(center + radius * directions)
    torch.testing.assert_close(on_surface, torch.zeros_like(on_surface), atol=1e-12, rtol=0)
    far = blob.distance(center + 3 * radius * directions)
    torch.testing.assert_close(far, torch.full_like(far, 2 * radius))
    torch.testing.assert_close(blob.bounds()[1] - center, torch.full_like(center, radius))


def test_the_sum_is_that_of_its_formula() -> None:
    points = points_in_space(50)
    for point, found in zip(points.tolist(), MIXTURE.value(points).tolist(), strict=True):
        expected = sum(
            weight * math.exp(-(math.dist(point, center) ** 2) / (2 * deviation**2))
            for center, deviation, weight in zip(
                MIXTURE.centers, MIXTURE.deviations, MIXTURE.weights, strict=True
            )
        )
        assert found == pytest.approx(expected)


def test_inside_is_where_the_sum_exceeds_the_level() -> None:
    points = points_in_space(5000)
    inside = MIXTURE.distance(points) < 0
    assert torch.equal(inside, MIXTURE.value(points) > MIXTURE.level)
    lower, upper = MIXTURE.bounds()
    assert ((points[inside] >= lower) & (points[inside] <= upper)).all()


def test_distances_are_never_too_long() -> None:
    """A ball of the distance around a point holds points of its own side only."""
    points = points_in_space(300)
    distance = MIXTURE.distance(points)
    directions = torch.nn.functional.normalize(points_in_space(500), dim=-1)
    around = points[:, None] + 0.999 * distance.abs()[:, None, None] * directions
    assert torch.equal(MIXTURE.distance(around) < 0, (distance < 0)[:, None].expand(-1, 500))
    slope = length(gradient(MIXTURE.distance, points_in_space(3000)))
    assert float(slope.max()) <= 1 + 1e-9


def test_values_and_gradients_are_finite_at_centers_and_far_away() -> None:
    points = torch.tensor([[-0.5, 0.0, 0.0], [1e8, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert MIXTURE.distance(points).isfinite().all()
    assert gradient(MIXTURE.distance, points).isfinite().all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"centers": ()}, "0 centers"),
        ({"deviations": (1.0, 2.0)}, "2 deviations"),
        ({"deviations": (0.0,)}, "positive"),
        ({"weights": (-1.0,)}, "positive"),
        ({"level": 1.5}, "between 0 and the sum"),
    ],
)
def test_impossible_mixtures_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**values)
