# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.methods.base import DynamicMethod, Method, WarpingMethod
from neural_backend.methods.moment import Moment
from tests.analytic import AnalyticConfig, AnalyticMethod


class Rising(AnalyticMethod):
    """A sphere that rises by two units from time 0 to time 1."""

    is_dynamic = True

    def to_canonical(self, points, times):
        return points - 2 * times[:, None] * points.new_tensor([0.0, 0.0, 1.0])

    def density(self, points, times=None):
        times = points.new_zeros(len(points)) if times is None else times
        return super().density(self.to_canonical(points, times))

    def color(self, points, directions, times=None):
        times = points.new_zeros(len(points)) if times is None else times
        return super().color(self.to_canonical(points, times), directions)


def test_a_moving_field_is_asked_at_the_moments_time() -> None:
    still, rising = AnalyticMethod(AnalyticConfig()), Rising(AnalyticConfig())
    assert isinstance(rising, DynamicMethod)
    assert isinstance(rising, WarpingMethod)
    points = torch.rand(64, 3) * 2 - 1
    raised = points + torch.tensor([0.0, 0.0, 0.5])
    directions = torch.nn.functional.normalize(torch.randn(64, 3), dim=-1)
    moment = Moment(rising, 0.25)
    torch.testing.assert_close(moment.density(raised), still.density(points))
    torch.testing.assert_close(moment.color(raised, directions), still.color(points, directions))
    assert not torch.equal(moment.density(points), still.density(points))


def test_without_a_time_a_moving_field_is_as_at_time_0() -> None:
    points = torch.rand(64, 3) * 2 - 1
    rising = Rising(AnalyticConfig())
    torch.testing.assert_close(Moment(rising).density(points), Moment(rising, 0.0).density(points))


def test_a_field_that_does_not_move_is_the_same_at_any_time() -> None:
    still: Method = AnalyticMethod(AnalyticConfig())
    assert not isinstance(still, DynamicMethod)
    points = torch.rand(64, 3) * 2 - 1
    assert torch.equal(Moment(still, 0.7).density(points), still.density(points))
