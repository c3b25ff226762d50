# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation of tables of which a step touches few rows, in Triton: the others are not read."""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, UInt8
from torch import Tensor

_VALUES = 1024
"""That a program has at hand: as many rows as have room."""


def update(
    table: Float[Tensor, "rows thirds"],
    touched: UInt8[Tensor, " rows"],
    rates: Float[Tensor, " channels"],
    beta2: float,
    correct: float | Tensor,
    scale: float,
) -> None:
    """Adam without momentum on the touched rows of (values, squares, gradients).

    Source and differences: see `training.sparse_adam`.
    """
    rows, channels = len(table), len(rates)
    if rows:
        width = triton.next_power_of_2(channels)
        block = max(1, _VALUES // width)
        correct = torch.as_tensor(correct, dtype=torch.float32, device=table.device)
        _update[(triton.cdiv(rows, block),)](
            table, touched, rates, correct, beta2, scale, rows, channels, ROWS=block, WIDTH=width
        )


@triton.jit(do_not_specialize=["rows"])
def _update(
    table, touched, rates, correct, beta2, scale, rows, channels,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    chosen = tl.load(touched + row, mask=row < rows, other=0) > 0
    column = tl.arange(0, WIDTH)
    inside = chosen[:, None] & (column < channels)
    at = table + row[:, None] * (3 * channels) + column
    slope = scale * tl.load(at + 2 * channels, mask=inside, other=0.0)
    square = beta2 * tl.load(at + channels, mask=inside, other=0.0) + (1 - beta2) * slope * slope
    rate = tl.load(rates + column, mask=column < channels, other=0.0)
    change = rate * slope / (tl.sqrt(square * tl.load(correct)) + 1e-8)
    tl.store(at, tl.load(at, mask=inside, other=0.0) - change, mask=inside)
    tl.store(at + channels, square, mask=inside)
    tl.store(at + 2 * channels, tl.zeros_like(square), mask=inside)
    tl.store(touched + row, tl.zeros_like(row).to(tl.uint8), mask=chosen)
