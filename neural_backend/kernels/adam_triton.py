# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam that leaves out what has no slope, in Triton: a table is read and written once."""

import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

_BLOCK = 1024


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
    """The twin of `adam.take_step_by_torch`."""
    count = values.numel()
    if count:
        _take_step[(triton.cdiv(count, _BLOCK),)](
            values, slope.contiguous(), first, second, size,
            values if rounded is None else rounded, values if average is None else average,
            *betas, epsilon, keep, count,
            ROUNDS=rounded is not None, AVERAGES=average is not None, BLOCK=_BLOCK,
        )  # fmt: skip


@triton.jit(do_not_specialize=["count"])
def _take_step(
    values, slopes, firsts, seconds, size, rounded, averages, beta1, beta2, epsilon, keep, count,
    ROUNDS: tl.constexpr, AVERAGES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    slope = tl.load(slopes + at, mask=inside, other=0.0)
    # What has no slope is neither written nor read, unless for its average.
    some = slope != 0
    first = beta1 * tl.load(firsts + at, mask=some, other=0.0) + (1 - beta1) * slope
    second = beta2 * tl.load(seconds + at, mask=some, other=0.0) + (1 - beta2) * slope * slope
    value = tl.load(values + at, mask=inside if AVERAGES else some, other=0.0)
    tl.store(firsts + at, first, mask=some)
    tl.store(seconds + at, second, mask=some)
    step = tl.load(size) * first / (tl.sqrt(second) + epsilon)
    value = tl.where(some, value - step, value)
    tl.store(values + at, value, mask=some)
    if ROUNDS:
        tl.store(rounded + at, value, mask=some)
    if AVERAGES:
        average = tl.load(averages + at, mask=inside, other=0.0)
        tl.store(averages + at, value + keep * (average - value), mask=inside)
