# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.sampling.leans import Leans, draw_leans

CPU = torch.device("cpu")


@pytest.fixture
def generator() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


def test_without_slopes_nothing_moves(generator: torch.Generator) -> None:
    points = torch.rand(5, 100, 3, generator=generator) * 2 - 1
    torch.testing.assert_close(draw_leans(5, 0.0, generator, CPU).move(points), points)


def test_the_origin_stays(generator: torch.Generator) -> None:
    origin = torch.zeros(9, 1, 3)
    torch.testing.assert_close(draw_leans(9, 0.8, generator, CPU).move(origin), origin)


def test_volumes_are_kept_everywhere(generator: torch.Generator) -> None:
    leans = Leans(*(part.double() for part in draw_leans(1, 0.9, generator, CPU)))
    for point in torch.rand(10, 3, generator=generator, dtype=torch.float64) * 2 - 1:
        slope = torch.autograd.functional.jacobian(lambda x: leans.move(x[None, None])[0, 0], point)
        torch.testing.assert_close(torch.linalg.det(slope), torch.ones((), dtype=torch.float64))


def test_one_slope_shears_one_axis_by_a_wave_of_another(generator: torch.Generator) -> None:
    slopes, waves, phases = torch.zeros(1, 3, 3), torch.ones(1, 3, 3), torch.zeros(1, 3, 3)
    slopes[0, 0, 2], waves[0, 0, 2], phases[0, 0, 2] = 0.4, 2.0, 0.5 * math.pi
    points = torch.rand(1, 50, 3, generator=generator)
    moved = Leans(slopes, waves, phases).move(points)
    expected = points[..., 0] + 0.2 * ((2 * points[..., 2]).cos() - 1)
    torch.testing.assert_close(moved[..., 0], expected)
    torch.testing.assert_close(moved[..., 1:], points[..., 1:])


def test_an_axis_does_not_lean_by_itself(generator: torch.Generator) -> None:
    leans = draw_leans(3, 0.5, generator, CPU)
    alone = Leans(leans.slopes * torch.eye(3), leans.waves, leans.phases)
    points = torch.rand(3, 20, 3, generator=generator)
    torch.testing.assert_close(alone.move(points), points)


def test_slopes_are_at_most_what_was_asked(generator: torch.Generator) -> None:
    leans = draw_leans(200, 0.3, generator, CPU)
    assert 0.25 < float(leans.slopes.abs().max()) <= 0.3
