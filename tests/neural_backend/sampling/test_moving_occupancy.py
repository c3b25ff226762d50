# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.kernels.ray_marching import occupied_bits
from neural_backend.sampling.moving_occupancy import MovingOccupancy

CPU = torch.device("cpu")
SLICES, RADIUS = 4, 0.4


def rising_ball(points: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    height = 1.2 * (times - 0.5)
    moved = points - torch.stack([0 * height, 0 * height, height], dim=-1)
    return (moved.norm(dim=-1) < RADIUS) * 50.0


def grown(rounds: int = 40) -> MovingOccupancy:
    occupancy = MovingOccupancy(SLICES, 16, 1, CPU)
    generator = torch.Generator().manual_seed(0)
    for _ in range(SLICES * rounds):
        occupancy.update(rising_ball, generator, visits=10**6, threshold=0.05)
    return occupancy


def test_each_slice_holds_what_is_full_at_any_of_its_times():
    occupancy = grown()
    generator = torch.Generator().manual_seed(1)
    points, times = torch.rand(20_000, 3, generator=generator) * 2 - 1, torch.rand(20_000)
    full = rising_ball(points, times) > 0
    occupied = occupancy.contains(points, times)
    # Cells at the rim of what is swept are seen full now and then, and may have been missed.
    assert occupied[full].float().mean() > 0.97
    inside = torch.tensor([[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]])
    assert occupancy.contains(inside, torch.tensor([0.05, 0.95])).all()
    assert not occupancy.contains(inside, torch.tensor([0.95, 0.05])).any()


def test_the_guide_holds_the_slices_one_after_another():
    occupancy = grown(rounds=3)
    parts = occupancy.guide.split(16**3)
    assert len(parts) == SLICES
    for part, grid in zip(parts, occupancy.grids, strict=True):
        assert torch.equal(part, grid.guide)
        assert part.any()
    assert torch.equal(occupancy.occupied, occupied_bits(occupancy.guide))


def test_what_is_forbidden_stays_empty_in_its_slice_alone():
    occupancy = MovingOccupancy(2, 16, 1, CPU)
    empty = torch.zeros(2, 16**3, dtype=torch.bool)
    empty[1] = True
    occupancy.forbid(empty)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        occupancy.update(lambda points, times: 50 + 0 * times, generator, 10**6, 0.05)
    point = torch.zeros(2, 3)
    assert occupancy.contains(point, torch.tensor([0.2, 0.7])).tolist() == [True, False]


def test_a_restored_occupancy_goes_on_as_the_saved_one_would_have():
    first, second = grown(rounds=3), MovingOccupancy(SLICES, 16, 1, CPU)
    second.load_state(first.state())
    for occupancy in (first, second):
        occupancy.update(rising_ball, torch.Generator().manual_seed(5), 500, 0.05)
    assert torch.equal(first.guide, second.guide)
    assert torch.equal(first.occupied, second.occupied)
    assert all(torch.equal(first.state()[name], second.state()[name]) for name in first.state())


def test_times_at_and_beyond_the_ends_belong_to_the_outer_slices():
    occupancy = grown(rounds=10)
    low = torch.tensor([[0.0, 0.0, -0.5]]).expand(2, 3)
    assert occupancy.contains(low, torch.tensor([0.0, -3.0])).all()
    assert occupancy.contains(-low, torch.tensor([1.0, 3.0])).all()
