# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.kernels.ray_marching import occupied_bits
from neural_backend.sampling.occupancy_grid import OccupancyGrid

CPU = torch.device("cpu")


def ball(radius: float, density: float = 50.0):
    return lambda points: (points.norm(dim=-1) < radius) * density


def grown(grid: OccupancyGrid, density_fn, rounds: int = 12) -> OccupancyGrid:
    generator = torch.Generator().manual_seed(0)
    for _ in range(rounds):
        grid.update(density_fn, generator, visits=10**6, threshold=0.05)
    return grid


@pytest.mark.parametrize("cascades", [1, 3])
def test_what_is_full_is_occupied_and_what_is_empty_is_not(cascades):
    radius = 0.5 * 2 ** (cascades - 1)
    grid = grown(OccupancyGrid(16, cascades, CPU), ball(radius))
    reach = 2.0 ** (cascades - 1)
    points = (torch.rand(20_000, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1) * reach
    distance = points.norm(dim=-1)
    margin = 1.8 * reach / 16 * 2
    occupied = grid.contains(points)
    assert occupied[distance < radius - margin].all()
    assert not occupied[distance > radius + margin].any()
    assert not grid.contains(points + 3 * reach).any()


def test_cells_never_visited_count_as_occupied_and_all_look_alike():
    grid = OccupancyGrid(16, 2, CPU)
    assert grid.contains(torch.rand(100, 3) * 2 - 1).all()
    assert grid.guide.unique().numel() == 1


def test_bits_follow_the_guide_through_updates_bans_and_states():
    grid = grown(OccupancyGrid(16, 2, CPU), ball(0.6))
    kept, shared = [], grid.occupied
    grid.forbid(torch.rand(2 * 16**3) < 0.3)
    kept.append(grid)
    kept.append(OccupancyGrid(16, 2, CPU))
    kept[1].load_state(grid.state())
    assert grid.occupied is shared  # a recorded step reads it where it is
    for one in kept:
        assert torch.equal(one.occupied, occupied_bits(one.guide))
        assert one.occupied.any()


def test_every_cell_is_visited_once_in_a_round_but_the_inner_ones_of_larger_cascades():
    grid = OccupancyGrid(8, 2, CPU)
    seen = []

    def density_fn(points):
        seen.append(points)
        return torch.ones(len(points))

    for _ in range(8):
        grid.update(density_fn, torch.Generator().manual_seed(0), visits=120, threshold=0.05)
    known = (grid.values > 0).view(2, 8, 8, 8)
    assert known[0].all()
    assert not known[1, 2:6, 2:6, 2:6].any()
    assert known[1].sum() == 8**3 - 4**3
    total = sum(len(points) for points in seen)
    assert total == 960  # 8³ + 8³ - 4³, in rounds of 120
    outer = torch.cat(seen).abs().amax(dim=-1) > 1
    assert outer.sum() == 8**3 - 4**3


def test_the_guide_comes_to_know_the_density_and_forgets_what_has_gone():
    grid = grown(OccupancyGrid(8, 1, CPU), lambda points: torch.full((len(points),), 3.0))
    assert grid.guide.min() == pytest.approx(3.0)
    grown(grid, lambda points: torch.zeros(len(points)), rounds=200)
    assert not grid.guide.any()
    grown(grid, lambda points: torch.full((len(points),), 3.0), rounds=1)
    assert (grid.guide > 0).all()


def test_a_cell_with_little_in_it_is_not_lost():
    """A random point misses it seven times in eight."""
    grid = grown(
        OccupancyGrid(8, 1, CPU), lambda points: (points[:, 0] % 0.25 < 0.03) * 500.0, rounds=40
    )
    for _ in range(5):
        grown(grid, lambda points: (points[:, 0] % 0.25 < 0.03) * 500.0, rounds=1)
        assert (grid.guide > 0).float().mean() > 0.9


def test_forbidden_cells_stay_empty_whatever_is_there():
    grid = OccupancyGrid(8, 1, CPU)
    forbidden = torch.rand(8**3, generator=torch.Generator().manual_seed(0)) < 0.5
    grid.forbid(forbidden)
    grown(grid, lambda points: torch.full((len(points),), 3.0), rounds=3)
    assert torch.equal(grid.guide == 0, forbidden)


def test_a_grid_without_any_allowed_cell_can_be_updated():
    grid = OccupancyGrid(8, 1, CPU)
    grid.forbid(torch.ones(8**3, dtype=torch.bool))
    grown(grid, ball(1.0), rounds=1)
    assert not grid.guide.any()


def test_a_restored_grid_goes_on_as_the_saved_one_does():
    first = OccupancyGrid(8, 2, CPU)
    first.forbid(torch.arange(2 * 8**3) % 3 == 0)
    generator = torch.Generator().manual_seed(0)
    first.update(ball(0.7), generator, 200, 0.05)
    second = OccupancyGrid(8, 2, CPU)
    second.load_state(first.state())
    for grid in (first, second):
        grid.update(ball(0.7), torch.Generator().manual_seed(5), 200, 0.05)
    for name, value in first.state().items():
        assert torch.equal(value, second.state()[name]), name


def test_a_resolution_whose_cascades_do_not_fit_into_each_other_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        OccupancyGrid(10, 2, CPU)
