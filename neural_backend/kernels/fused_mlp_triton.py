# SPDX-License-Identifier: GPL-3.0-or-later
"""Small networks in Triton: a tile of points goes through all layers without leaving the chip.

What is made of the outputs, and what is gathered for the inputs, is part of the same kernels.

Source: Müller 2021, "Real-time neural radiance caching", sec. 4.2 (fully fused networks).
Differs: layers are computed anew on the way back, instead of being kept.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from .fused_mlp import Color, Density, Gathered, Head, Layers
from .instant_ngp_types import LARGEST_EXPONENT

_TILE = 64
"""Points that a program has at hand; with 128 the way back overflows its registers (by the machine
code, not by timing).
"""
_SMALLEST = 16
"""Rows and columns of the smallest product that graphics cards have in hardware."""
_INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
_PROGRAMS, _PROGRAMS_BACK = 5, 2
"""Programs of each multiprocessor, as many as are resident, share all tiles: each reads the weights
once, and on the way back has sums of its own for them.
"""
_LARGEST = tl.constexpr(LARGEST_EXPONENT)


def forward(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    more: Gathered | None,
    head: Head,
    precise: bool = False,
) -> tuple[Tensor, ...]:
    """What the `head` makes of the outputs, without a graph; of a density both, the outputs first.

    Factors are bfloat16, or single precision where `precise`.
    """
    points = len(inputs)
    columns = 3 if isinstance(head, Color) else layers.shapes[-1][0]
    out = torch.empty(points, columns, device=inputs.device)
    dense = isinstance(head, Density)
    density = torch.empty(points, device=inputs.device) if dense else out
    if points:
        tiles = triton.cdiv(points, _TILE)
        _forward[(_programs(_PROGRAMS, tiles, inputs.device),)](
            inputs.contiguous(), *_gathered(more, inputs), *_head(head, inputs), weights, out,
            density, points, tiles, **_sizes(layers), **_shape(layers, more, head),
            TILE=_TILE, PRECISE=precise,
        )  # fmt: skip
    return (out, density) if dense else (out,)


def gradients(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    more: Gathered | None,
    head: Head,
    found: tuple[Tensor, ...],
    slopes: tuple[Tensor, ...],
    precise: bool = False,
) -> tuple[Float[Tensor, "points inputs"], Float[Tensor, " weights"]]:
    """The loss's slopes by inputs and weights, from those by what `forward` `found`."""
    points = len(inputs)
    by_inputs, by_weights = torch.empty_like(inputs), torch.zeros_like(weights)
    if points:
        tiles = triton.cdiv(points, _TILE)
        _gradients[(_programs(_PROGRAMS_BACK, tiles, inputs.device),)](
            inputs.contiguous(), *_gathered(more, inputs), weights, found[-1],
            slopes[0].contiguous(), slopes[-1].contiguous(), by_inputs, by_weights, points, tiles,
            **_sizes(layers), **_shape(layers, more, head), TILE=_TILE, PRECISE=precise,
        )  # fmt: skip
    return by_inputs, by_weights


def _programs(of_each: int, tiles: int, device: torch.device) -> int:
    """As many as the card has room for; a few where Triton is interpreted."""
    if device.type == "cuda":
        of_each *= torch.cuda.get_device_properties(device).multi_processor_count
    return min(tiles, of_each)


def _gathered(more: Gathered | None, inputs: Tensor) -> tuple[Tensor, Tensor]:
    if more is None:
        return inputs, inputs
    rows = more.rows.detach().contiguous()
    return rows, rows if more.owners is None else more.owners


def _head(head: Head, inputs: Tensor) -> tuple[Tensor, float]:
    if isinstance(head, Density):
        return head.squeeze.contiguous(), head.shift
    return inputs, 0.0


def _sizes(layers: Layers) -> dict[str, int]:
    """What the kernels are told of a network's numbers."""
    return {
        "start": layers.start,
        "num_inputs": layers.shapes[0][1],
        "num_more": layers.shapes[1][1] if layers.gathers else 0,
        "num_outputs": layers.shapes[-1][0],
        "width": layers.shapes[0][0],
    }


def _shape(layers: Layers, more: Gathered | None, head: Head) -> dict[str, int]:
    """The kernels' sizes: powers of two with room for each layer."""
    return {
        "INPUTS": _room(layers.shapes[0][1]),
        "MORE": _room(layers.shapes[1][1]) if layers.gathers else 0,
        "WIDTH": _room(layers.shapes[0][0]),
        "OUTPUTS": _room(layers.shapes[-1][0]),
        "HIDDEN": len(layers.shapes) - 1 - layers.gathers,
        "SHARED": more is not None and more.owners is not None,
        "IS_COLOR": isinstance(head, Color),
    }


def _room(size: int) -> int:
    return max(_SMALLEST, triton.next_power_of_2(size))


@triton.jit
def _matrix(weights, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A matrix, widened by zeros."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)
    inside = (row < rows) & (column < columns)
    return tl.load(weights + row * columns + column, mask=inside, other=0.0)


@triton.jit
def _add_matrix(weights, sums, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)
    inside = (row < rows) & (column < columns)
    tl.atomic_add(weights + row * columns + column, sums, mask=inside, sem="relaxed")


@triton.jit
def _nearest(values):
    """Rounded to bfloat16 as cards do it; the interpreter cuts off, and multiplies bits."""
    bits = values.to(tl.float32).to(tl.uint32, bitcast=True)
    return ((bits + 0x7FFF + (bits >> 16) % 2) & 0xFFFF0000).to(tl.float32, bitcast=True)


@triton.jit
def _times(left, right, PRECISE: tl.constexpr):
    """The product of matrices, with sums in single precision."""
    if _INTERPRETED and not PRECISE:
        left, right = _nearest(left), _nearest(right)
    if PRECISE or _INTERPRETED:
        return tl.dot(left.to(tl.float32), right.to(tl.float32), input_precision="ieee")
    return tl.dot(left.to(tl.bfloat16), right.to(tl.bfloat16))


@triton.jit
def _rows(table, row, inside, columns, COLUMNS: tl.constexpr):
    column = tl.arange(0, COLUMNS)
    inside = inside[:, None] & (column < columns)
    return tl.load(table + row[:, None] * columns + column, mask=inside, other=0.0)


@triton.jit
def _store_rows(table, values, row, inside, columns, COLUMNS: tl.constexpr):
    column = tl.arange(0, COLUMNS)
    inside = inside[:, None] & (column < columns)
    tl.store(table + row[:, None] * columns + column, values, mask=inside)


@triton.jit
def _owners(owners, row, inside, SHARED: tl.constexpr):
    """Which row of what is gathered belongs to each point."""
    if SHARED:
        return tl.load(owners + row, mask=inside, other=0).to(tl.int64)
    return row


@triton.jit(do_not_specialize=["points", "tiles", "start"])
def _forward(
    inputs, more, owners, squeeze, shift, weights, out, density, points, tiles,
    start, num_inputs, num_more, num_outputs, width,
    INPUTS: tl.constexpr, MORE: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr,
    HIDDEN: tl.constexpr, SHARED: tl.constexpr, IS_COLOR: tl.constexpr, TILE: tl.constexpr,
    PRECISE: tl.constexpr,
):  # fmt: skip
    weights += start
    first = _matrix(weights, width, num_inputs, WIDTH, INPUTS)
    weights += width * num_inputs
    if MORE > 0:
        first_more = _matrix(weights, width, num_more, WIDTH, MORE)
        weights += width * num_more
    last = _matrix(weights + (HIDDEN - 1) * width * width, num_outputs, width, OUTPUTS, WIDTH)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        row = (tile * TILE + tl.arange(0, TILE)).to(tl.int64)
        inside = row < points
        seen = _rows(inputs, row, inside, num_inputs, INPUTS)
        hidden = _times(seen, tl.trans(first), PRECISE)
        if MORE > 0:
            owner = _owners(owners, row, inside, SHARED)
            told = _rows(more, owner, inside, num_more, MORE)
            hidden += _times(told, tl.trans(first_more), PRECISE)
        hidden = tl.maximum(hidden, 0.0)
        for layer in tl.static_range(HIDDEN - 1):
            middle = _matrix(weights + layer * width * width, width, width, WIDTH, WIDTH)
            hidden = tl.maximum(_times(hidden, tl.trans(middle), PRECISE), 0.0)
        result = _times(hidden, tl.trans(last), PRECISE)
        if IS_COLOR:
            # Below this a color is 0. Not the larger of both, here and below: that would hide NaN.
            color = tl.sigmoid(tl.where(result < -80, -80.0, result))
            _store_rows(out, color, row, inside, 3, OUTPUTS)
        else:
            _store_rows(out, result, row, inside, num_outputs, OUTPUTS)
            log_density = tl.sum(tl.where(tl.arange(0, OUTPUTS) == 0, result, 0.0), axis=1) + shift
            near = tl.load(squeeze + row, mask=inside, other=0.0)
            log_density = tl.where(log_density > _LARGEST, _LARGEST, log_density)
            tl.store(density + row, tl.exp(log_density) * near, mask=inside)


@triton.jit(do_not_specialize=["points", "tiles", "start"])
def _gradients(
    inputs, more, owners, weights, found, slopes, more_slopes, by_inputs, by_weights, points, tiles,
    start, num_inputs, num_more, num_outputs, width,
    INPUTS: tl.constexpr, MORE: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr,
    HIDDEN: tl.constexpr, SHARED: tl.constexpr, IS_COLOR: tl.constexpr, TILE: tl.constexpr,
    PRECISE: tl.constexpr,
):  # fmt: skip
    at_more = start + width * num_inputs
    at_middle = at_more + width * num_more
    at_last = at_middle + (HIDDEN - 1) * width * width
    first_matrix = _matrix(weights + start, width, num_inputs, WIDTH, INPUTS)
    last_matrix = _matrix(weights + at_last, num_outputs, width, OUTPUTS, WIDTH)
    by_first = tl.zeros((WIDTH, INPUTS), tl.float32)
    by_last = tl.zeros((OUTPUTS, WIDTH), tl.float32)
    if MORE > 0:
        more_matrix = _matrix(weights + at_more, width, num_more, WIDTH, MORE)
        by_more = tl.zeros((WIDTH, MORE), tl.float32)
    if HIDDEN > 1:
        by_second = tl.zeros((WIDTH, WIDTH), tl.float32)
    if HIDDEN > 2:
        by_third = tl.zeros((WIDTH, WIDTH), tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        row = (tile * TILE + tl.arange(0, TILE)).to(tl.int64)
        inside = row < points
        seen = _rows(inputs, row, inside, num_inputs, INPUTS)
        hidden1 = _times(seen, tl.trans(first_matrix), PRECISE)
        if MORE > 0:
            owner = _owners(owners, row, inside, SHARED)
            told = _rows(more, owner, inside, num_more, MORE)
            hidden1 += _times(told, tl.trans(more_matrix), PRECISE)
        hidden1 = tl.maximum(hidden1, 0.0)
        hidden = hidden1
        hidden2 = hidden1
        if HIDDEN > 1:
            second = _matrix(weights + at_middle, width, width, WIDTH, WIDTH)
            hidden2 = tl.maximum(_times(hidden1, tl.trans(second), PRECISE), 0.0)
            hidden = hidden2
        if HIDDEN > 2:
            third = _matrix(weights + at_middle + width * width, width, width, WIDTH, WIDTH)
            hidden = tl.maximum(_times(hidden2, tl.trans(third), PRECISE), 0.0)

        if IS_COLOR:
            color = _rows(found, row, inside, 3, OUTPUTS)
            by_out = _rows(slopes, row, inside, 3, OUTPUTS) * color * (1 - color)
        else:
            by_out = _rows(slopes, row, inside, num_outputs, OUTPUTS)
            by_log = tl.load(more_slopes + row, mask=inside, other=0.0)
            by_log *= tl.load(found + row, mask=inside, other=0.0)
            by_out += tl.where(tl.arange(0, OUTPUTS) == 0, by_log[:, None], 0.0)
        by_last += _times(tl.trans(by_out), hidden, PRECISE)
        back = tl.where(hidden > 0, _times(by_out, last_matrix, PRECISE), 0.0)
        if HIDDEN > 2:
            by_third += _times(tl.trans(back), hidden2, PRECISE)
            third = _matrix(weights + at_middle + width * width, width, width, WIDTH, WIDTH)
            back = tl.where(hidden2 > 0, _times(back, third, PRECISE), 0.0)
        if HIDDEN > 1:
            by_second += _times(tl.trans(back), hidden1, PRECISE)
            second = _matrix(weights + at_middle, width, width, WIDTH, WIDTH)
            back = tl.where(hidden1 > 0, _times(back, second, PRECISE), 0.0)
        by_first += _times(tl.trans(back), seen, PRECISE)
        if MORE > 0:
            by_more += _times(tl.trans(back), told, PRECISE)
        by_seen = _times(back, first_matrix, PRECISE)
        _store_rows(by_inputs, by_seen, row, inside, num_inputs, INPUTS)
    _add_matrix(by_weights + start, by_first, width, num_inputs, WIDTH, INPUTS)
    if MORE > 0:
        _add_matrix(by_weights + at_more, by_more, width, num_more, WIDTH, MORE)
    if HIDDEN > 1:
        _add_matrix(by_weights + at_middle, by_second, width, width, WIDTH, WIDTH)
    if HIDDEN > 2:
        at_third = at_middle + width * width
        _add_matrix(by_weights + at_third, by_third, width, width, WIDTH, WIDTH)
    _add_matrix(by_weights + at_last, by_last, num_outputs, width, OUTPUTS, WIDTH)
