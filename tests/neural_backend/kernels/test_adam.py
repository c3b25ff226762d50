# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.kernels import hash_grid_reference
from neural_backend.kernels.adam import step_size, take_step, take_step_by_torch
from neural_backend.kernels.hash_grid import HashGridLayout, hash_encode, hash_grid_layout
from neural_backend.kernels.instant_ngp_training_numba import adam_rows, update_level
from neural_backend.kernels.instant_ngp_types import AdamSettings, HashTable


def test_steps_are_those_of_torchs_adam_where_everything_has_a_slope() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(50, generator=generator, dtype=torch.float64)
    wanted = values.clone().requires_grad_()
    optimizer = torch.optim.Adam([wanted], lr=0.01, betas=(0.9, 0.99), eps=0.0)
    first, second = torch.zeros_like(values), torch.zeros_like(values)
    for step in range(1, 6):
        slope = torch.randn(50, generator=generator, dtype=torch.float64)
        wanted.grad = slope.clone()
        optimizer.step()
        size = torch.tensor(step_size(0.01, (0.9, 0.99), step), dtype=torch.float64)
        take_step(values, slope, first, second, (0.9, 0.99), 0.0, size)
    torch.testing.assert_close(values, wanted.detach())


BETAS, EPSILON, RATE = (0.9, 0.99), 1e-15, 0.01


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1025, 1), (300, 4), (70, 2)])
@pytest.mark.parametrize("louder", [0.0, 1e-30, 1e-20, 1.0, 1e8])
@pytest.mark.parametrize("step", [1, 700])
def test_each_twin_steps_as_plain_torch_and_leaves_out_what_has_no_slope(
    shape, louder, step, twin, device
) -> None:
    generator = torch.Generator().manual_seed(2)
    values, slope, first = (torch.randn(shape, generator=generator) for _ in range(3))
    slope = torch.where(torch.rand(shape, generator=generator) < 0.5, 0.0, slope * louder)
    # Numba passes by blocks of numbers without any, the others number by number.
    slope[shape[0] // 3 : shape[0] // 3 * 2] = 0
    given = [values, slope, first * louder, (first * louder).square()]
    parts = [part.to(device).clone() for part in given]
    exact = [part.double().clone() for part in given]
    size = torch.tensor(step_size(RATE, BETAS, step), dtype=torch.float64)
    take_step_by_torch(*exact, BETAS, EPSILON, size)
    if twin == "numba":
        numbers, rows = [part.numpy() for part in parts], shape[0]
        adam = AdamSettings(0.0, 0.0, *BETAS, EPSILON, step)
        for span in ((0, rows // 2), (rows // 2, rows)):
            adam_rows(*numbers, *span, adam, RATE)
        # It leaves no slopes for the next step to be added to.
        assert not parts[1].any()
    else:
        take_step(*parts, BETAS, EPSILON, size.float().to(device))
        assert torch.equal(parts[1].cpu(), slope)
    # Of numbers below the smallest that is whole in single precision, some processors make zero.
    smallest = torch.finfo(torch.float32).tiny
    for place, scale in ((0, 1.0), (2, louder), (3, louder**2)):
        found, expected, before = parts[place].cpu(), exact[place], given[place]
        atol = max(1e-6 * scale, smallest)
        torch.testing.assert_close(found.double(), expected, atol=atol, rtol=1e-5)
        assert torch.equal(found[slope == 0], before[slope == 0])


@pytest.mark.parametrize("count", [0, 1, 300])
def test_each_twin_moves_the_entries_of_a_table_that_points_have_met(count, twin, device) -> None:
    layout, generator = hash_grid_layout(3, 4, 9, 2, 40), torch.Generator().manual_seed(count)
    shape = layout.offsets[-1], layout.features_per_level
    points = torch.rand(count, 3, generator=generator)
    by_features = torch.randn(count, layout.num_features, generator=generator)
    given = [torch.randn(shape, generator=generator) for _ in range(2)]
    given.append(given[1].square())
    exact = [part.double().clone().requires_grad_() for part in given]
    features = hash_grid_reference.encode(
        points.double(), exact[0], layout.resolutions, layout.offsets
    )
    features.backward(by_features.double())
    size = torch.tensor(step_size(RATE, BETAS, 3), dtype=torch.float64)
    met = exact[0].grad != 0
    exact_parts = [part.detach() for part in exact]
    take_step_by_torch(exact_parts[0], exact[0].grad, *exact_parts[1:], BETAS, EPSILON, size)
    parts = [part.to(device).clone() for part in given]
    if twin == "numba":
        step_levels(layout, points, by_features, parts, AdamSettings(RATE, 0.0, *BETAS, EPSILON, 3))
    else:
        table = parts[0].clone().requires_grad_()
        hash_encode(points.to(device), table, layout).backward(by_features.to(device))
        take_step(parts[0], table.grad, *parts[1:], BETAS, EPSILON, size.float().to(device))
    for found, expected, before in zip(parts, exact_parts, given, strict=True):
        torch.testing.assert_close(found.cpu().double(), expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(found.cpu()[~met], before[~met])
    assert met.any() == (count > 0)
    assert not met.all()


def step_levels(
    layout: HashGridLayout,
    points: torch.Tensor,
    by_features: torch.Tensor,
    parts: list[torch.Tensor],
    adam: AdamSettings,
) -> None:
    """`update_level` of each level, for points that two tiles hand over with a gap between them."""
    count, gap, half = len(points), 5, len(points) // 2
    places = torch.arange(count) + gap * (torch.arange(count) >= half)
    laid = torch.full((3, count + gap), torch.nan)
    laid[:, places] = points.T
    handed = torch.full(
        (len(layout.resolutions), count + gap, layout.features_per_level), torch.nan
    )
    handed[:, places] = by_features.unflatten(1, (len(layout.resolutions), -1)).transpose(0, 1)
    tiles, used = np.array([(0, 1, 0), (1, 2, half + gap)]), np.array([half, count - half])
    table, first, second = (part.numpy() for part in parts)
    rows = np.array(layout.resolutions), np.array(layout.offsets)
    hashed, slopes = HashTable(table, *rows, False, 0.0), np.zeros_like(table)
    for level in range(len(layout.resolutions)):
        given = laid.numpy(), handed.numpy(), tiles, used, level
        update_level(hashed, *given, slopes, first, second, adam)
    assert not slopes.any()


@pytest.mark.parametrize("follows", ["rounded", "average", "both"])
def test_copies_and_averages_follow_the_values(follows, triton) -> None:
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(1500, 2, generator=generator)
    parts = [values.to(triton), torch.zeros_like(values), torch.zeros_like(values)]
    exact = [part.double().clone() for part in parts]
    wanted = {"rounded": values.half(), "average": values.clone()}
    kept = [None if follows not in (name, "both") else wanted[name] for name in wanted]
    followers = [None if part is None else part.to(triton).clone() for part in kept]
    rounded, average = [None if part is None else part.double().clone() for part in kept]
    for step in range(3):
        slope = torch.randn(1500, 2, generator=generator)
        slope[step::3] = 0
        size = torch.tensor(0.1)
        found, first, second = parts
        take_step(
            found, slope.to(triton), first, second, (0.9, 0.99), 1e-15, size.to(triton),
            *followers, keep=0.8,
        )  # fmt: skip
        moments = exact[1], exact[2], (0.9, 0.99), 1e-15, size.double()
        take_step_by_torch(exact[0], slope.double(), *moments, rounded, average, 0.8)
    if rounded is not None:
        assert torch.equal(followers[0], parts[0].half())
        torch.testing.assert_close(followers[0].double().cpu(), rounded, atol=1e-3, rtol=1e-3)
    if average is not None:
        torch.testing.assert_close(followers[1].double().cpu(), average, atol=1e-6, rtol=1e-5)
        assert (average - exact[0]).abs().max() > 0.01
