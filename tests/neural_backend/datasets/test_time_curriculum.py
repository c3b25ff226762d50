# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.datasets.time_curriculum import TimeCurriculum, views_so_far
from tests.moving_ball import batches_at

TIMES = [0.5, 0.0, 1.0, 0.25, 0.75]
IN_ORDER = [1, 3, 0, 4, 2]
"""The views of TIMES as they rise."""


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, 3),
        (0.003, 3),
        (0.01, 8),
        (0.05, 40),
        (0.1, 80),
        (0.1249, 99),
        (0.125, 100),
        (1.0, 100),
    ],
)
def test_views_join_in_proportion_and_are_all_there_at_the_end(fraction, expected) -> None:
    assert views_so_far(fraction, 0.125, 100) == expected


def test_there_may_be_few_views_or_no_curriculum() -> None:
    assert views_so_far(0.0, 0.0, 100) == 100
    assert views_so_far(0.0, 0.5, 2) == 2


@pytest.mark.parametrize("num_views", [1, 2, 3, 5])
def test_rays_are_those_of_the_earliest_views_in_equal_parts(num_views: int) -> None:
    batches = batches_at(TIMES, size=8)
    batch = TimeCurriculum(batches).draw(4000, num_views, torch.Generator().manual_seed(0))
    counts = torch.bincount(batch.rays.views, minlength=5)
    assert set(counts.nonzero()[:, 0].tolist()) == set(IN_ORDER[:num_views])
    expected = 4000 / num_views
    assert (counts[IN_ORDER[:num_views]] - expected).abs().max() < 0.15 * expected
    assert batch.rays.times.max() == sorted(TIMES)[num_views - 1]


def test_only_candidates_are_drawn_and_each_of_them() -> None:
    batches = batches_at(TIMES, size=8)
    # Out of order, some views with few and the earliest with none.
    batches.candidates = torch.tensor([290, 3, 200, 210, 7, 60, 300])
    drawn: list[torch.Tensor] = []
    rays_of = batches.rays

    def spy(pixels: torch.Tensor):
        drawn.append(pixels)
        return rays_of(pixels)

    batches.rays = spy
    curriculum = TimeCurriculum(batches)
    expected = {1: {200, 210}, 2: {200, 210}, 3: {200, 210, 3, 7, 60}}
    for num_views, pixels in expected.items():
        curriculum.draw(200, num_views, torch.Generator().manual_seed(0))
        assert set(drawn[-1].tolist()) == pixels
    curriculum.draw(500, 5, torch.Generator().manual_seed(0))
    assert set(drawn[-1].tolist()) == set(batches.candidates.tolist())
