# SPDX-License-Identifier: GPL-3.0-or-later
"""Small matrix products for CPU kernels, at the speed of the vector units.

Numba cannot be made to keep a block of sums in vector registers, so the innermost block of each
product is written in LLVM's own language, whose vectors fit any CPU. Matrices of samples are
(features, samples): a row holds one feature of all samples. Rows of samples have room for a
multiple of `SPAN`, rows of weights come in multiples of `ROWS`.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compilation import jit

LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
VECTORS = 4 if LANES == 16 else 2
ROWS = 4
SPAN = LANES * VECTORS

_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_INDEX, value)


def _address(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [start])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _splat(builder: Any, number: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, everywhere)


def _multiply_add(builder: Any, first: Any, second: Any, total: Any) -> Any:
    function = _function(builder, "llvm.fma", _VECTOR, [_VECTOR] * 3)
    return builder.call(function, [first, second, total])


def _function(builder: Any, name: str, result: ir.Type, arguments: list[ir.Type]) -> Any:
    kind = ir.FunctionType(result, arguments)
    return cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32")


def _loop(builder: Any, end: Any, step: int, count: int, body: Any) -> list[Any]:
    """Repeats `body(position, sums) -> sums` from 0 to `end`, at least once; returns the sums."""
    entry = builder.block
    loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    position = builder.phi(_INDEX)
    position.add_incoming(_constant(0), entry)
    sums = [builder.phi(_VECTOR) for _ in range(count)]
    new = body(position, sums)
    following = builder.add(position, _constant(step))
    position.add_incoming(following, loop)
    for old, value in zip(sums, new, strict=True):
        old.add_incoming(_ZERO, entry)
        old.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, done)
    builder.position_at_end(done)
    return new


@intrinsic
def _multiply_block(
    _typing,
    weights,
    start,
    row,
    column,
    inputs,
    in_start,
    in_row,
    outputs,
    out_start,
    out_row,
    depth,
):
    """outputs[r, s] = sum over k of weights[start + r·row + k·column]·inputs[k, s]: ROWS × SPAN."""
    index = types.intp
    signature = types.void(
        weights, index, index, index, inputs, index, index, outputs, index, index, index
    )

    def generate(context, builder, signature, values):
        (
            weights,
            start,
            row,
            column,
            inputs,
            in_start,
            in_row,
            outputs,
            out_start,
            out_row,
            depth,
        ) = values
        weight = _address(context, builder, signature.args[0], weights, start)
        source = _address(context, builder, signature.args[4], inputs, in_start)
        target = _address(context, builder, signature.args[7], outputs, out_start)

        def body(k, sums):
            line = builder.gep(source, [builder.mul(k, in_row)])
            seen = [
                _load(builder, builder.gep(line, [_constant(v * LANES)])) for v in range(VECTORS)
            ]
            weight_k = builder.gep(weight, [builder.mul(k, column)])
            new = []
            for r in range(ROWS):
                one = builder.load(builder.gep(weight_k, [builder.mul(row, _constant(r))]))
                wide = _splat(builder, one)
                for v in range(VECTORS):
                    new.append(_multiply_add(builder, wide, seen[v], sums[r * VECTORS + v]))
            return new

        sums = _loop(builder, depth, 1, ROWS * VECTORS, body)
        for r in range(ROWS):
            line = builder.gep(target, [builder.mul(out_row, _constant(r))])
            for v in range(VECTORS):
                place = builder.gep(line, [_constant(v * LANES)])
                place = builder.bitcast(place, _VECTOR.as_pointer())
                builder.store(sums[r * VECTORS + v], place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _outer_block(
    _typing, first, start, row, second, second_start, second_row, sums, sums_start, sums_row, count
):
    """sums[r, c] += sum over s of first[r, s]·second[c, s]: ROWS × ROWS."""
    index = types.intp
    signature = types.void(first, index, index, second, index, index, sums, index, index, index)

    def generate(context, builder, signature, values):
        first, start, row, second, second_start, second_row, sums, sums_start, sums_row, count = (
            values
        )
        left = _address(context, builder, signature.args[0], first, start)
        right = _address(context, builder, signature.args[3], second, second_start)
        target = _address(context, builder, signature.args[6], sums, sums_start)

        def lines(base, stride, s):
            starts = [builder.add(s, builder.mul(stride, _constant(r))) for r in range(ROWS)]
            return [_load(builder, builder.gep(base, [place])) for place in starts]

        def body(s, sums):
            lefts, rights = lines(left, row, s), lines(right, second_row, s)
            pairs = [(a, b) for a in lefts for b in rights]
            return [
                _multiply_add(builder, a, b, total)
                for (a, b), total in zip(pairs, sums, strict=True)
            ]

        totals = _loop(builder, count, LANES, ROWS * ROWS, body)
        add_up = _function(builder, "llvm.vector.reduce.fadd", _FLOAT, [_FLOAT, _VECTOR])
        for r in range(ROWS):
            for c in range(ROWS):
                place = builder.add(builder.mul(sums_row, _constant(r)), _constant(c))
                pointer = builder.gep(target, [place])
                arguments = [ir.Constant(_FLOAT, 0.0), totals[r * ROWS + c]]
                total = builder.call(add_up, arguments, fastmath=("reassoc",))
                builder.store(builder.fadd(builder.load(pointer), total), pointer)
        return context.get_dummy_value()

    return signature, generate


@jit
def multiply(weights, inputs, outputs, start, count):
    """outputs[:, start:] = weights @ inputs[:, start:] for `count` samples, rounded up to SPANs."""
    rows, depth = weights.shape
    in_row, out_row = inputs.shape[1], outputs.shape[1]
    for s in range(start, start + count, SPAN):
        for r in range(0, rows, ROWS):
            _multiply_block(
                weights,
                r * depth,
                depth,
                1,
                inputs,
                s,
                in_row,
                outputs,
                r * out_row + s,
                out_row,
                depth,
            )


@jit
def multiply_transposed(weights, inputs, outputs, start, count):
    """outputs[:, start:] = weights.T @ inputs[:, start:], likewise."""
    depth, rows = weights.shape
    in_row, out_row = inputs.shape[1], outputs.shape[1]
    for s in range(start, start + count, SPAN):
        for r in range(0, rows, ROWS):
            _multiply_block(
                weights, r, 1, rows, inputs, s, in_row, outputs, r * out_row + s, out_row, depth
            )


@jit
def add_outer(first, second, sums, count):
    """Adds first @ second.T over the first `count` samples, rounded up to LANES, to `sums`.

    Samples beyond `count` must be zero in `first` and finite in `second`.
    """
    rows, columns = sums.shape
    for r in range(0, rows, ROWS):
        for c in range(0, columns, ROWS):
            _outer_block(
                first,
                r * first.shape[1],
                first.shape[1],
                second,
                c * second.shape[1],
                second.shape[1],
                sums,
                r * columns + c,
                columns,
                count,
            )
