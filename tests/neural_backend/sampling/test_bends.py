# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.sampling.bends import Bends, draw_bends

CPU = torch.device("cpu")


@pytest.fixture
def generator() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


def test_a_bend_without_swing_and_stretch_moves_nothing(generator: torch.Generator) -> None:
    points = torch.rand(5, 100, 3, generator=generator) * 2 - 1
    bends = draw_bends(5, 0.0, 0.0, generator, CPU)
    torch.testing.assert_close(bends.move(points), points)
    torch.testing.assert_close(bends.magnification(points), torch.ones(5, 100))


def test_order_along_each_axis_is_kept(generator: torch.Generator) -> None:
    bends = draw_bends(50, 0.95, 0.5, generator, CPU)
    line = torch.linspace(-1.5, 1.5, 2000)[:, None].expand(50, -1, 3)
    assert (bends.move(line).diff(dim=1) > 0).all()


def test_the_magnification_is_the_mean_slope(generator: torch.Generator) -> None:
    draws = draw_bends(4, 0.7, 0.3, generator, CPU)
    bends = Bends(*(values.double() for values in draws))
    points = torch.rand(4, 30, 3, generator=generator, dtype=torch.float64) * 2 - 1
    ahead, behind = bends.move(points + 1e-5), bends.move(points - 1e-5)
    slopes = (ahead - behind) / 2e-5
    torch.testing.assert_close(bends.magnification(points), slopes.mean(-1), rtol=1e-6, atol=1e-6)


def test_a_stretch_alone_scales_each_axis(generator: torch.Generator) -> None:
    bends = draw_bends(3, 0.0, 0.4, generator, CPU)
    points = torch.rand(3, 10, 3, generator=generator)
    torch.testing.assert_close(bends.move(points), points * bends.scales)
    assert ((bends.scales - 1).abs() <= 0.4).all()


def test_the_origin_stays(generator: torch.Generator) -> None:
    bends = draw_bends(9, 0.8, 0.2, generator, CPU)
    origin = torch.zeros(9, 1, 3)
    torch.testing.assert_close(bends.move(origin), origin)


@pytest.mark.parametrize(("swing", "stretch"), [(1.0, 0.0), (0.0, 1.0), (-0.1, 0.0)])
def test_a_share_that_would_fold_space_is_refused(swing: float, stretch: float) -> None:
    with pytest.raises(ValueError, match="shares"):
        draw_bends(1, swing, stretch, torch.Generator(), CPU)
