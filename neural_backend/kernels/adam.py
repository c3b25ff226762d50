# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam that leaves out what has no slope: plain torch, or Triton where it can run."""

import torch
from jaxtyping import Float
from torch import Tensor

from .triton_use import uses_triton


def take_step(
    values: Float[Tensor, "*shape"],
    slope: Float[Tensor, "*shape"],
    first: Float[Tensor, "*shape"],
    second: Float[Tensor, "*shape"],
    betas: tuple[float, float],
    epsilon: float,
    size: Float[Tensor, ""],
    rounded: Float[Tensor, "*shape"] | None = None,
    average: Float[Tensor, "*shape"] | None = None,
    keep: float = 0.95,
) -> None:
    """One step that changes the values and their moments in place, but for values without slope.

    `size` is the learning rate with the moments' correction (see `step_size`): a tensor, for a
    graph of CUDA's to be given another at each step. `rounded` is a copy of the values in lower
    precision that follows them; of `average` the share `keep` is kept at each step, and the rest
    comes from the values, changed or not.

    Source: Kingma and Ba 2015, "Adam", sec. 2 and 7.2 (averages); Müller et al. 2022, "Instant
        neural graphics primitives", sec. 4 (entries without slope are left out).
    """
    followers = rounded, average, keep
    if uses_triton(values):
        from . import adam_triton

        adam_triton.take_step(values, slope, first, second, betas, epsilon, size, *followers)
    else:
        take_step_by_torch(values, slope, first, second, betas, epsilon, size, *followers)


def take_step_by_torch(
    values: Float[Tensor, "*shape"],
    slope: Float[Tensor, "*shape"],
    first: Float[Tensor, "*shape"],
    second: Float[Tensor, "*shape"],
    betas: tuple[float, float],
    epsilon: float,
    size: Float[Tensor, ""],
    rounded: Float[Tensor, "*shape"] | None = None,
    average: Float[Tensor, "*shape"] | None = None,
    keep: float = 0.95,
) -> None:
    """The twin of `adam_triton.take_step`, for any device and precision."""
    some = slope != 0
    torch.where(some, torch.lerp(slope, first, betas[0]), first, out=first)
    torch.where(some, torch.lerp(slope * slope, second, betas[1]), second, out=second)
    values -= some * (size * first / (second.sqrt() + epsilon))
    if rounded is not None:
        rounded.copy_(values)
    if average is not None:
        average.lerp_(values, 1 - keep)


def step_size(
    rate: float | Tensor, betas: tuple[float, float], step: int | Tensor
) -> float | Tensor:
    """The learning rate of a step, counted from 1, corrected for moments that began at zero."""
    return rate * (1 - betas[1] ** step) ** 0.5 / (1 - betas[0] ** step)
