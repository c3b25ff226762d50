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

BLOCK = 64

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
            number = builder.sext(builder.extract_value(rows, corner), ir.IntType(64))
            seen = builder.load(_row(builder, base, number, count), align=4)
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
            number = builder.sext(builder.extract_value(rows, corner), ir.IntType(64))
            row = _row(builder, base, number, count)
            weight = builder.extract_value(weights, corner)
            old = builder.load(row, align=4)
            builder.store(_weighted(builder, weight, seen, old), row, align=4)
        return context.get_dummy_value()

    return signature, generate


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
    rows, weights = np.empty((8, BLOCK), np.int32), np.empty((8, BLOCK), np.float32)
    for level in range(resolutions.shape[0]):
        mask = level_mask(resolutions, offsets, level)
        for first in range(start, start + count, BLOCK):
            many = min(BLOCK, start + count - first)
            locate_block(
                points, first, many, resolutions[level], offsets[level], mask, rows, weights
            )
            for s in range(many):
                corners = (
                    rows[0, s],
                    rows[1, s],
                    rows[2, s],
                    rows[3, s],
                    rows[4, s],
                    rows[5, s],
                    rows[6, s],
                    rows[7, s],
                )
                shares = (
                    weights[0, s],
                    weights[1, s],
                    weights[2, s],
                    weights[3, s],
                    weights[4, s],
                    weights[5, s],
                    weights[6, s],
                    weights[7, s],
                )
                place = level * per_level * stride + first + s
                if per_level == 4:
                    _blend_rows(table, corners, shares, 4, features, place, stride)
                else:
                    _blend_rows(table, corners, shares, 2, features, place, stride)


@jit
def locate_block(points, first, many, resolution, offset, mask, rows, weights):
    """Rows and trilinear weights of the 8 grid points around points; mask 0: a dense level.

    Two plain loops rather than one by parts: these are what compilers turn into vector code.
    """
    largest, highest = np.float32(resolution), np.int32(resolution - 1)
    zero, one = np.float32(0), np.float32(1)
    side, base, last = np.int32(resolution + 1), np.int32(offset), np.uint32(mask)
    area = np.int32(side * side)
    px, py, pz = points[0], points[1], points[2]
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    r4, r5, r6, r7 = rows[4], rows[5], rows[6], rows[7]
    for s in range(many):
        i = min(np.int32(min(max(px[first + s] * largest, zero), largest)), highest)
        j = min(np.int32(min(max(py[first + s] * largest, zero), largest)), highest)
        k = min(np.int32(min(max(pz[first + s] * largest, zero), largest)), highest)
        if mask == 0:
            low = np.int32(base + i + j * side + k * area)
            r0[s] = low
            r1[s] = low + 1
            r2[s] = low + side
            r3[s] = low + side + 1
            r4[s] = low + area
            r5[s] = low + area + 1
            r6[s] = low + area + side
            r7[s] = low + area + side + 1
        else:
            y0 = np.uint32(np.uint32(j) * np.uint32(PRIME_Y))
            z0 = np.uint32(np.uint32(k) * np.uint32(PRIME_Z))
            y1, z1 = np.uint32(y0 + np.uint32(PRIME_Y)), np.uint32(z0 + np.uint32(PRIME_Z))
            x0, x1 = np.uint32(i), np.uint32(i + 1)
            r0[s] = base + np.int32((x0 ^ y0 ^ z0) & last)
            r1[s] = base + np.int32((x1 ^ y0 ^ z0) & last)
            r2[s] = base + np.int32((x0 ^ y1 ^ z0) & last)
            r3[s] = base + np.int32((x1 ^ y1 ^ z0) & last)
            r4[s] = base + np.int32((x0 ^ y0 ^ z1) & last)
            r5[s] = base + np.int32((x1 ^ y0 ^ z1) & last)
            r6[s] = base + np.int32((x0 ^ y1 ^ z1) & last)
            r7[s] = base + np.int32((x1 ^ y1 ^ z1) & last)
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6, w7 = weights[4], weights[5], weights[6], weights[7]
    for s in range(many):
        x = min(max(px[first + s] * largest, zero), largest)
        y = min(max(py[first + s] * largest, zero), largest)
        z = min(max(pz[first + s] * largest, zero), largest)
        u = x - np.float32(min(np.int32(x), highest))
        v = y - np.float32(min(np.int32(y), highest))
        w = z - np.float32(min(np.int32(z), highest))
        a, b, c, d = (one - v) * (one - w), v * (one - w), (one - v) * w, v * w
        t = one - u
        w0[s] = t * a
        w1[s] = u * a
        w2[s] = t * b
        w3[s] = u * b
        w4[s] = t * c
        w5[s] = u * c
        w6[s] = t * d
        w7[s] = u * d


@jit
def add_gradient(points, gradient, table_gradient, resolutions, offsets, level, start, count):
    """Adds what some points hand back to one level of `table_gradient`.

    They are points[:, start : start + count]; `gradient` is (samples, features) here, that of the
    level alone, since one sample at a time is read.
    """
    per_level = table_gradient.shape[1]
    rows, weights = np.empty((8, BLOCK), np.int32), np.empty((8, BLOCK), np.float32)
    mask = level_mask(resolutions, offsets, level)
    for first in range(start, start + count, BLOCK):
        many = min(BLOCK, start + count - first)
        locate_block(points, first, many, resolutions[level], offsets[level], mask, rows, weights)
        for s in range(many):
            corners = (
                rows[0, s],
                rows[1, s],
                rows[2, s],
                rows[3, s],
                rows[4, s],
                rows[5, s],
                rows[6, s],
                rows[7, s],
            )
            shares = (
                weights[0, s],
                weights[1, s],
                weights[2, s],
                weights[3, s],
                weights[4, s],
                weights[5, s],
                weights[6, s],
                weights[7, s],
            )
            place = (first + s) * per_level
            if per_level == 4:
                _add_to_rows(table_gradient, corners, shares, 4, gradient, place)
            else:
                _add_to_rows(table_gradient, corners, shares, 2, gradient, place)
