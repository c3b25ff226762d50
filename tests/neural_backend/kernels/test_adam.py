# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.kernels.adam import step_size, take_step, take_step_by_torch


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


@pytest.mark.parametrize("shape", [(0, 4), (1,), (1025,), (300, 4)])
@pytest.mark.parametrize("louder", [1e-20, 1.0, 1e8])
def test_tritons_step_is_that_of_the_twin_and_leaves_out_what_has_no_slope(
    shape, louder, triton
) -> None:
    generator = torch.Generator().manual_seed(2)
    values, slope, first = (torch.randn(shape, generator=generator) for _ in range(3))
    slope = torch.where(torch.rand(shape, generator=generator) < 0.5, 0.0, slope * louder)
    given = [values, slope, first * louder, (first * louder).square()]
    parts = [part.to(triton).clone() for part in given]
    exact = [part.double().clone() for part in given]
    take_step(*parts, (0.9, 0.99), 1e-15, torch.tensor(0.01, device=triton))
    take_step_by_torch(*exact, (0.9, 0.99), 1e-15, torch.tensor(0.01, dtype=torch.float64))
    for found, expected, before in zip(parts, exact, given, strict=True):
        torch.testing.assert_close(found.cpu().double(), expected, atol=1e-6, rtol=1e-5)
        assert torch.equal(found.cpu()[slope == 0], before[slope == 0])


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
