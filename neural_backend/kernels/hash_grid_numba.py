# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiresolution hash grid on the CPU.

Points are (3, samples) in the unit cube, features (levels · features, samples). Levels are
described by two arrays: their `resolutions`, and their `offsets` in the table, one more than there
are levels. A level of (resolution + 1)³ entries is dense, a smaller one is hashed and a power of
two long.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compilation import jit

PRIME_Y, PRIME_Z = 2654435761, 805459861
"""Source: Müller et al. 2022, "Instant neural graphics primitives", eq. 4."""

_FLOAT = ir.FloatType()


def _constant(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(64), value)


def _row(builder: Any, pointer: Any, row: Any, features: int) -> Any:
    place = builder.gep(pointer, [builder.mul(row, _constant(features))])
    return builder.bitcast(place, ir.VectorType(_FLOAT, features).as_pointer())


def _weighted(builder: Any, weight: Any, row: Any, total: Any) -> Any:
    """A weighted row on top of `total`."""
    kind = row.type
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, weight, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    wide = builder.shuffle_vector(first, undefined, everywhere)
    name = f"llvm.fma.v{kind.count}f32"
    function_kind = ir.FunctionType(kind, [kind] * 3)
    fma = cgutils.get_or_insert_function(builder.module, function_kind, name)
    return builder.call(fma, [wide, row, total])


@intrinsic
def _blend_rows(_typing, table, rows, weights, features, out, out_start, out_row):
    """out[out_start + f·out_row] = sum over the 8 corners of weights·table[rows, f]."""
    if not isinstance(features, types.IntegerLiteral):
        return None
    count = features.literal_value
    index = types.intp
    signature = types.void(table, rows, weights, features, out, index, index)

    def generate(context, builder, signature, values):
        table, rows, weights, _, out, start, stride = values
        base = context.make_array(signature.args[0])(context, builder, table).data
        target = context.make_array(signature.args[4])(context, builder, out).data
        total = ir.Constant(ir.VectorType(_FLOAT, count), [0.0] * count)
        for corner in range(8):
            row = _row(builder, base, builder.extract_value(rows, corner), count)
            seen = builder.load(row, align=4)
            total = _weighted(builder, builder.extract_value(weights, corner), seen, total)
        for feature in range(count):
            number = builder.extract_element(total, ir.Constant(ir.IntType(32), feature))
            place = builder.add(start, builder.mul(stride, _constant(feature)))
            builder.store(number, builder.gep(target, [place]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_to_rows(_typing, table, rows, weights, features, source, source_start):
    """table[rows, f] += weights·source[source_start + f] at the 8 corners."""
    if not isinstance(features, types.IntegerLiteral):
        return None
    count = features.literal_value
    signature = types.void(table, rows, weights, features, source, types.intp)

    def generate(context, builder, signature, values):
        table, rows, weights, _, source, start = values
        base = context.make_array(signature.args[0])(context, builder, table).data
        from_ = context.make_array(signature.args[4])(context, builder, source).data
        kind = ir.VectorType(_FLOAT, count).as_pointer()
        seen = builder.load(builder.bitcast(builder.gep(from_, [start]), kind), align=4)
        for corner in range(8):
            row = _row(builder, base, builder.extract_value(rows, corner), count)
            weight = builder.extract_value(weights, corner)
            old = builder.load(row, align=4)
            builder.store(_weighted(builder, weight, seen, old), row, align=4)
        return context.get_dummy_value()

    return signature, generate


@jit
def _locate(x, y, z, resolution, offset, mask):
    """Rows and trilinear weights of the 8 points around a position; mask 0: a dense level."""
    one, largest = np.float32(1), np.float32(resolution)
    x = min(max(x * largest, np.float32(0)), largest)
    y = min(max(y * largest, np.float32(0)), largest)
    z = min(max(z * largest, np.float32(0)), largest)
    i = min(np.int64(x), resolution - 1)
    j = min(np.int64(y), resolution - 1)
    k = min(np.int64(z), resolution - 1)
    u, v, w = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    if mask == 0:
        side = resolution + 1
        y0, z0 = j * side, k * side * side
        y1, z1 = y0 + side, z0 + side * side
        base = i + offset
        rows = (
            base + y0 + z0,
            base + 1 + y0 + z0,
            base + y1 + z0,
            base + 1 + y1 + z0,
            base + y0 + z1,
            base + 1 + y0 + z1,
            base + y1 + z1,
            base + 1 + y1 + z1,
        )
    else:
        y0, z0 = j * PRIME_Y, k * PRIME_Z
        y1, z1 = y0 + PRIME_Y, z0 + PRIME_Z
        m00, m10, m01, m11 = (y0 ^ z0) & mask, (y1 ^ z0) & mask, (y0 ^ z1) & mask, (y1 ^ z1) & mask
        i0, i1 = i & mask, (i + 1) & mask
        rows = (
            offset + (i0 ^ m00),
            offset + (i1 ^ m00),
            offset + (i0 ^ m10),
            offset + (i1 ^ m10),
            offset + (i0 ^ m01),
            offset + (i1 ^ m01),
            offset + (i0 ^ m11),
            offset + (i1 ^ m11),
        )
    a00, a10, a01, a11 = (one - v) * (one - w), v * (one - w), (one - v) * w, v * w
    u0 = one - u
    weights = (u0 * a00, u * a00, u0 * a10, u * a10, u0 * a01, u * a01, u0 * a11, u * a11)
    return rows, weights


@jit
def level_mask(resolutions, offsets, level):
    """0 for a dense level, one less than its number of entries for a hashed one."""
    side = resolutions[level] + 1
    entries = offsets[level + 1] - offsets[level]
    return 0 if side * side * side <= entries else entries - 1


@jit
def encode(points, table, resolutions, offsets, features, start, count):
    """Fills features[:, start : start + count] from the table, (entries, 2 or 4)."""
    per_level, stride = table.shape[1], features.shape[1]
    for level in range(resolutions.shape[0]):
        resolution, offset = resolutions[level], offsets[level]
        mask = level_mask(resolutions, offsets, level)
        for s in range(start, start + count):
            rows, weights = _locate(
                points[0, s], points[1, s], points[2, s], resolution, offset, mask
            )
            place = level * per_level * stride + s
            if per_level == 4:
                _blend_rows(table, rows, weights, 4, features, place, stride)
            else:
                _blend_rows(table, rows, weights, 2, features, place, stride)


@jit
def add_gradient(points, gradient, table_gradient, resolutions, offsets, level, count):
    """Adds what the first `count` points hand back to one level of `table_gradient`.

    `points` is (samples, 3) and `gradient` (samples, features) here: one sample at a time is read.
    """
    per_level = table_gradient.shape[1]
    resolution, offset = resolutions[level], offsets[level]
    mask = level_mask(resolutions, offsets, level)
    for s in range(count):
        rows, weights = _locate(points[s, 0], points[s, 1], points[s, 2], resolution, offset, mask)
        place = s * per_level
        if per_level == 4:
            _add_to_rows(table_gradient, rows, weights, 4, gradient, place)
        else:
            _add_to_rows(table_gradient, rows, weights, 2, gradient, place)
