# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.kernels.packed_samples import PackedSamples, pack
from neural_backend.kernels.ray_budget import RayBudget, adapt_by_torch

CPU = torch.device("cpu")
RAYS, MOST = 40_000, 8


def filled(counts: torch.Tensor, asked: int, slots: int) -> PackedSamples:
    lengths = torch.ones(RAYS, MOST)
    return pack(lengths, lengths, counts, torch.arange(RAYS) < asked, slots)


@pytest.mark.parametrize(("met", "length"), [(1.0, 8), (0.4, 8), (0.9, 3), (1.0, 1)])
def test_buffers_are_nearly_full_after_a_few_steps_and_hardly_any_ray_is_left_out(met, length):
    budget = RayBudget(1 / 4, CPU)
    slots = budget.slots(RAYS, MOST)
    assert slots == RAYS * MOST / 4
    for _ in range(20):
        asked = int(budget.asked(RAYS))
        samples = filled(length * (torch.rand(RAYS) < met), asked, slots)
        budget.adapt(samples, samples)
    share = min(1.0, 0.95 * 8 / length / met / 4)
    assert asked == pytest.approx(share * RAYS, rel=0.05)
    assert samples.looked_at.sum() > 0.99 * asked


def test_the_fuller_of_two_buffers_decides() -> None:
    budget = RayBudget(1 / 4, CPU)
    for _ in range(20):
        asked = int(budget.asked(RAYS))
        counts = torch.full((RAYS,), MOST)
        budget.adapt(filled(counts, asked, 200_000), filled(counts // 8, asked, 100_000))
    assert asked == pytest.approx(0.95 * 200_000 / MOST, rel=0.01)


def test_rays_that_meet_nothing_at_first_do_not_end_the_training() -> None:
    budget = RayBudget(1 / 4, CPU)
    for _ in range(20):
        samples = filled(torch.zeros(RAYS, dtype=torch.int64), int(budget.asked(RAYS)), 80_000)
        budget.adapt(samples, samples)
    assert int(budget.asked(RAYS)) == RAYS
    for _ in range(20):
        samples = filled(torch.full((RAYS,), 8), int(budget.asked(RAYS)), 80_000)
        budget.adapt(samples, samples)
    assert int(budget.asked(RAYS)) == pytest.approx(9500, abs=2)


@pytest.mark.parametrize("share", [1.0, 0.25, 1 / 256])
@pytest.mark.parametrize("wanted", [(0, 0), (10, 0), (700, 70), (70, 700), (10**6, 1), (500, 500)])
def test_triton_adapts_as_the_twin_does(share, wanted, triton) -> None:
    none, nobody = torch.zeros(0), torch.zeros(500, dtype=torch.int32)
    first, second = (
        PackedSamples(nobody, none, none, none, none, torch.tensor(number, dtype=torch.int32), 8)
        for number in wanted
    )
    budget, expected = RayBudget(share, triton), torch.tensor(share)
    budget.adapt(*(part._replace(wanted=part.wanted.to(triton)) for part in (first, second)))
    adapt_by_torch(expected, first, second)
    assert int(budget.asked(10**6)) == pytest.approx(1e6 * expected.item(), rel=1e-5, abs=2)
