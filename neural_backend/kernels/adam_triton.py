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
) -> None:
    """The twin of `adam.take_step_by_torch`."""
    count = values.numel()
    if count:
        _take_step[(triton.cdiv(count, _BLOCK),)](
            values, slope.contiguous(), first, second, size, *betas, epsilon, count, BLOCK=_BLOCK
        )


@triton.jit(do_not_specialize=["count"])
def _take_step(
    values, slopes, firsts, seconds, size, beta1, beta2, epsilon, count, BLOCK: tl.constexpr
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    slope = tl.load(slopes + at, mask=at < count, other=0.0)
    # What has no slope is neither read nor written.
    some = slope != 0
    first = beta1 * tl.load(firsts + at, mask=some, other=0.0) + (1 - beta1) * slope
    second = beta2 * tl.load(seconds + at, mask=some, other=0.0) + (1 - beta2) * slope * slope
    value = tl.load(values + at, mask=some, other=0.0)
    tl.store(firsts + at, first, mask=some)
    tl.store(seconds + at, second, mask=some)
    step = tl.load(size) * first / (tl.sqrt(second) + epsilon)
    tl.store(values + at, value - step, mask=some)
