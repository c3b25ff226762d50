# SPDX-License-Identifier: GPL-3.0-or-later
"""Small networks in Triton: a tile of points goes through all layers without leaving the chip.

Source: Müller 2021, "Real-time neural radiance caching", sec. 4.2 (fully fused networks).
Differs: layers are computed anew on the way back, instead of being kept.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

_TILE = 64
"""Points that a program has at hand; with 128 the way back overflows its registers (by the machine
code, not by timing).
"""
_SMALLEST = 16
"""Rows and columns of the smallest product that graphics cards have in hardware."""
_INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
"""Triton's interpreter would multiply the bits of bfloat16s as if they were whole numbers."""
_PROGRAMS_BACK = 3
"""Programs of each multiprocessor, as many as are resident, share all tiles on the way back, each
with sums of its own for the weights.
"""


def forward(
    inputs: Float[Tensor, "points inputs"], matrices: list[Tensor], precise: bool = False
) -> Float[Tensor, "points outputs"]:
    """The twin of `fused_mlp.mlp_by_torch`, without a graph; factors are bfloat16, or single
    precision where `precise`.
    """
    points, shape = len(inputs), _shape(matrices)
    out = torch.empty(points, len(matrices[-1]), device=inputs.device)
    if points:
        _forward[(triton.cdiv(points, _TILE),)](
            inputs.contiguous(), _packed(matrices, shape, precise), out, points,
            inputs.shape[1], out.shape[1], **shape, TILE=_TILE, PRECISE=precise,
        )  # fmt: skip
    return out


def gradients(
    inputs: Float[Tensor, "points inputs"],
    matrices: list[Tensor],
    slope: Float[Tensor, "points outputs"],
    precise: bool = False,
) -> tuple[Float[Tensor, "points inputs"], list[Tensor]]:
    """The loss's slopes by inputs and matrices, from its `slope` by what `forward` returned."""
    points, shape = len(inputs), _shape(matrices)
    by_inputs = torch.empty(points, inputs.shape[1], device=inputs.device)
    weights = _packed(matrices, shape, precise)
    by_weights = torch.zeros(weights.shape, device=inputs.device)
    if points:
        tiles = triton.cdiv(points, _TILE)
        _gradients[(min(tiles, _PROGRAMS_BACK * _multiprocessors(inputs.device)),)](
            inputs.contiguous(), weights, slope.contiguous(), by_inputs, by_weights, points, tiles,
            inputs.shape[1], slope.shape[1], **shape, TILE=_TILE, PRECISE=precise,
        )  # fmt: skip
    return by_inputs, _unpacked(by_weights, matrices, shape)


def _multiprocessors(device: torch.device) -> int:
    """Of the graphics card; one where Triton is interpreted."""
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


def _shape(matrices: list[Tensor]) -> dict[str, int]:
    """The kernels' sizes: powers of two with room for each layer."""
    room = [max(_SMALLEST, triton.next_power_of_2(size)) for size in (
        matrices[0].shape[1], matrices[0].shape[0], matrices[-1].shape[0]
    )]  # fmt: skip
    return {"INPUTS": room[0], "WIDTH": room[1], "OUTPUTS": room[2], "HIDDEN": len(matrices) - 1}


def _places(shape: dict[str, int]) -> list[tuple[int, int, int]]:
    """Where each matrix begins in the packed weights, with its rows and columns."""
    width, hidden = shape["WIDTH"], shape["HIDDEN"]
    sizes = [(width, shape["INPUTS"]), *[(width, width)] * (hidden - 1), (shape["OUTPUTS"], width)]
    places, start = [], 0
    for rows, columns in sizes:
        places.append((start, rows, columns))
        start += rows * columns
    return places


def _packed(matrices: list[Tensor], shape: dict[str, int], precise: bool) -> Tensor:
    """All matrices one after another, widened by zeros to what the kernels read."""
    dtype = torch.float32 if precise else torch.bfloat16
    parts = []
    for matrix, (_, rows, columns) in zip(matrices, _places(shape), strict=True):
        wide = torch.zeros(rows, columns, dtype=dtype, device=matrix.device)
        wide[: matrix.shape[0], : matrix.shape[1]] = matrix.detach()
        parts.append(wide.flatten())
    return torch.cat(parts)


def _unpacked(weights: Tensor, matrices: list[Tensor], shape: dict[str, int]) -> list[Tensor]:
    parts = []
    for matrix, (start, rows, columns) in zip(matrices, _places(shape), strict=True):
        wide = weights[start : start + rows * columns].view(rows, columns)
        parts.append(wide[: matrix.shape[0], : matrix.shape[1]])
    return parts


@triton.jit
def _matrix(weights, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    return tl.load(weights + tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS))


@triton.jit
def _times(left, right, PRECISE: tl.constexpr):
    """The product of matrices, with sums in single precision."""
    if _INTERPRETED and not PRECISE:
        left, right = left.to(tl.bfloat16), right.to(tl.bfloat16)
    if PRECISE or _INTERPRETED:
        return tl.dot(left.to(tl.float32), right.to(tl.float32), input_precision="ieee")
    return tl.dot(left.to(tl.bfloat16), right.to(tl.bfloat16))


@triton.jit
def _rows(table, row, points, columns, COLUMNS: tl.constexpr):
    column = tl.arange(0, COLUMNS)
    inside = (row < points)[:, None] & (column < columns)
    return tl.load(table + row[:, None] * columns + column, mask=inside, other=0.0)


@triton.jit
def _store_rows(table, values, row, points, columns, COLUMNS: tl.constexpr):
    column = tl.arange(0, COLUMNS)
    inside = (row < points)[:, None] & (column < columns)
    tl.store(table + row[:, None] * columns + column, values, mask=inside)


@triton.jit
def _add_matrix(weights, sums, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    places = tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)
    tl.atomic_add(weights + places, sums, sem="relaxed")


@triton.jit(do_not_specialize=["points"])
def _forward(
    inputs, weights, out, points, num_inputs, num_outputs,
    INPUTS: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr, HIDDEN: tl.constexpr,
    TILE: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    seen = _rows(inputs, row, points, num_inputs, INPUTS)
    hidden = tl.maximum(_times(seen, tl.trans(_matrix(weights, WIDTH, INPUTS)), PRECISE), 0.0)
    weights += WIDTH * INPUTS
    for _ in tl.static_range(HIDDEN - 1):
        hidden = tl.maximum(_times(hidden, tl.trans(_matrix(weights, WIDTH, WIDTH)), PRECISE), 0.0)
        weights += WIDTH * WIDTH
    result = _times(hidden, tl.trans(_matrix(weights, OUTPUTS, WIDTH)), PRECISE)
    _store_rows(out, result, row, points, num_outputs, OUTPUTS)


@triton.jit(do_not_specialize=["points", "tiles"])
def _gradients(
    inputs, weights, slope, by_inputs, by_weights, points, tiles, num_inputs, num_outputs,
    INPUTS: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr, HIDDEN: tl.constexpr,
    TILE: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    middle: tl.constexpr = WIDTH * INPUTS
    last: tl.constexpr = middle + (HIDDEN - 1) * WIDTH * WIDTH
    first_matrix = _matrix(weights, WIDTH, INPUTS)
    last_matrix = _matrix(weights + last, OUTPUTS, WIDTH)
    by_first = tl.zeros((WIDTH, INPUTS), tl.float32)
    by_second = tl.zeros((WIDTH, WIDTH), tl.float32)
    by_third = tl.zeros((WIDTH, WIDTH), tl.float32)
    by_last = tl.zeros((OUTPUTS, WIDTH), tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        row = (tile * TILE + tl.arange(0, TILE)).to(tl.int64)
        seen = _rows(inputs, row, points, num_inputs, INPUTS)
        hidden1 = tl.maximum(_times(seen, tl.trans(first_matrix), PRECISE), 0.0)
        hidden = hidden1
        hidden2 = hidden1
        if HIDDEN > 1:
            second = _matrix(weights + middle, WIDTH, WIDTH)
            hidden2 = tl.maximum(_times(hidden1, tl.trans(second), PRECISE), 0.0)
            hidden = hidden2
        if HIDDEN > 2:
            third = _matrix(weights + middle + WIDTH * WIDTH, WIDTH, WIDTH)
            hidden = tl.maximum(_times(hidden2, tl.trans(third), PRECISE), 0.0)

        by_out = _rows(slope, row, points, num_outputs, OUTPUTS)
        by_last += _times(tl.trans(by_out), hidden, PRECISE)
        back = tl.where(hidden > 0, _times(by_out, last_matrix, PRECISE), 0.0)
        if HIDDEN > 2:
            by_third += _times(tl.trans(back), hidden2, PRECISE)
            third = _matrix(weights + middle + WIDTH * WIDTH, WIDTH, WIDTH)
            back = tl.where(hidden2 > 0, _times(back, third, PRECISE), 0.0)
        if HIDDEN > 1:
            by_second += _times(tl.trans(back), hidden1, PRECISE)
            second = _matrix(weights + middle, WIDTH, WIDTH)
            back = tl.where(hidden1 > 0, _times(back, second, PRECISE), 0.0)
        by_first += _times(tl.trans(back), seen, PRECISE)
        _store_rows(by_inputs, _times(back, first_matrix, PRECISE), row, points, num_inputs, INPUTS)
    _add_matrix(by_weights, by_first, WIDTH, INPUTS)
    if HIDDEN > 1:
        _add_matrix(by_weights + middle, by_second, WIDTH, WIDTH)
    if HIDDEN > 2:
        _add_matrix(by_weights + middle + WIDTH * WIDTH, by_third, WIDTH, WIDTH)
    _add_matrix(by_weights + last, by_last, OUTPUTS, WIDTH)
