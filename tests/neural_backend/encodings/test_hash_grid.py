# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.encodings.hash_grid import HashGrid
from neural_backend.kernels.hash_grid import hash_grid_layout


def test_it_learns_a_function_of_space():
    layout = hash_grid_layout(4, 4, 10, 4, 32)
    generator = torch.Generator().manual_seed(0)
    encoding = HashGrid(layout, generator)
    points = torch.rand(4000, 3, generator=generator)
    wanted = torch.sin(7 * points).sum(dim=-1)
    optimizer = torch.optim.Adam(encoding.parameters(), lr=0.02)
    for _ in range(60):
        loss = (encoding(points).sum(dim=-1) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fresh = torch.rand(1000, 3, generator=generator)
    error = encoding(fresh).sum(dim=-1) - torch.sin(7 * fresh).sum(dim=-1)
    assert error.square().mean().sqrt() < 0.25


def test_it_starts_with_next_to_nothing_and_the_same_from_the_same_seed():
    layout = hash_grid_layout(4, 2, 10, 4, 32)
    first, second = (HashGrid(layout, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.table, second.table)
    assert first.table.abs().max() <= 1e-4
    assert first(torch.rand(10, 3)).shape == (10, 8)
