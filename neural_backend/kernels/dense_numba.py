# SPDX-License-Identifier: GPL-3.0-or-later
"""Small matrix products for CPU kernels, at the speed of the vector units.

Numba cannot be made to keep a block of sums in vector registers, so the innermost block of each
product is written in LLVM's own language, whose vectors fit any CPU. Matrices of samples are
(features, samples): a row holds one feature of all samples. Rows of samples have room for a
multiple of `SPAN`, rows of weights come in multiples of `ROWS`.

Wide products can take their factors as bfloat16 and add up in float32: a pair of them lies in the
bits of one number, and one instruction multiplies and adds both.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from .compilation import jit

_FEATURES = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8
VECTORS = 4 if LANES == 16 else 2
ROWS = 4
SPAN = LANES * VECTORS

_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_BITS = ir.VectorType(ir.IntType(32), LANES)
_MULTIPLIES_PAIRS = bool(_FEATURES.get("avx512bf16"))


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32.

    AMD's do: of 64 by 64 weights 2.4 times as fast, of 64 by 16 still 1.7 times, pairing included.
    Intel's that have the instruction have AMX for it, and execute this one at half the rate.
    """
    return _MULTIPLIES_PAIRS and not _FEATURES.get("amx-bf16")


def room_for_pairs(depth: int, columns: int, enabled: bool) -> NDArray[np.uint32]:
    """Where products of up to `depth` terms and `columns` samples keep their factors as pairs.

    Half of it is for samples, half for weights. No room means products in float32.
    """
    return np.zeros((2, depth // 2 if enabled else 0, columns), np.uint32)


class _BFloat16(ir.Type):
    """LLVM's type, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"


_PAIRS = ir.VectorType(_BFloat16(), 2 * LANES)


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


def _multiply_add_pairs(builder: Any, first: Any, second: Any, total: Any) -> Any:
    """Adds the products of both bfloat16 in each number of two vectors."""
    if _MULTIPLIES_PAIRS:
        kind = ir.FunctionType(_VECTOR, [_VECTOR, _PAIRS, _PAIRS])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        factors = [builder.bitcast(factor, _PAIRS) for factor in (first, second)]
        return builder.call(function, [total, *factors])
    for half in (_lower_half, _upper_half):
        total = _multiply_add(builder, half(builder, first), half(builder, second), total)
    return total


def _lower_half(builder: Any, pairs: Any) -> Any:
    bits = builder.shl(builder.bitcast(pairs, _BITS), ir.Constant(_BITS, [16] * LANES))
    return builder.bitcast(bits, _VECTOR)


def _upper_half(builder: Any, pairs: Any) -> Any:
    mask = ir.Constant(_BITS, [0xFFFF0000] * LANES)
    return builder.bitcast(builder.and_(builder.bitcast(pairs, _BITS), mask), _VECTOR)


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


def _multiply_block_of(multiply_add: Callable) -> Any:
    """A kernel of its own for each way to multiply."""

    @intrinsic
    def block(
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
        """outputs[r, s] = sum of weights[start + r·row + k·column]·inputs[k, s]: ROWS × SPAN."""
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
                    _load(builder, builder.gep(line, [_constant(v * LANES)]))
                    for v in range(VECTORS)
                ]
                weight_k = builder.gep(weight, [builder.mul(k, column)])
                new = []
                for r in range(ROWS):
                    one = builder.load(builder.gep(weight_k, [builder.mul(row, _constant(r))]))
                    wide = _splat(builder, one)
                    for v in range(VECTORS):
                        new.append(multiply_add(builder, wide, seen[v], sums[r * VECTORS + v]))
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

    return block


_multiply_block = _multiply_block_of(_multiply_add)
_multiply_pairs_block = _multiply_block_of(_multiply_add_pairs)


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
def multiply(weights, inputs, outputs, count):
    """Writes weights @ inputs to `outputs`, for `count` samples, rounded up to SPANs."""
    rows, depth = weights.shape
    _multiply(weights.reshape(-1), rows, depth, depth, 1, inputs, outputs, count)


@jit
def multiply_transposed(weights, inputs, outputs, count):
    """Writes weights.T @ inputs to `outputs`, likewise."""
    depth, rows = weights.shape
    _multiply(weights.reshape(-1), rows, depth, 1, rows, inputs, outputs, count)


@jit
def multiply_wide(weights, inputs, outputs, count, pairs):
    """`multiply`, in bfloat16 where there is room for pairs."""
    rows, depth = weights.shape
    if pairs.shape[1] == 0:
        multiply(weights, inputs, outputs, count)
    else:
        _multiply_pairs(weights.reshape(-1), rows, depth, depth, 1, inputs, outputs, count, pairs)


@jit
def multiply_wide_transposed(weights, inputs, outputs, count, pairs):
    """`multiply_transposed`, in bfloat16 where there is room for pairs."""
    depth, rows = weights.shape
    if pairs.shape[1] == 0:
        multiply_transposed(weights, inputs, outputs, count)
    else:
        _multiply_pairs(weights.reshape(-1), rows, depth, 1, rows, inputs, outputs, count, pairs)


@jit
def _multiply(weights, rows, depth, row, column, inputs, outputs, count):
    """outputs[r] = sum over k of weights[r·row + k·column]·inputs[k]."""
    in_row, out_row = inputs.shape[1], outputs.shape[1]
    for s in range(0, count, SPAN):
        for r in range(0, rows, ROWS):
            place = r * out_row + s
            _multiply_block(
                weights, r * row, row, column, inputs, s, in_row, outputs, place, out_row, depth
            )


@jit
def _multiply_pairs(weights, rows, depth, row, column, inputs, outputs, count, pairs):
    """The same, by way of `pairs`: samples in its first half, weights in its second."""
    half, out_row, pair_row = depth // 2, outputs.shape[1], pairs.shape[2]
    paired_weights = pairs[1].reshape(-1)
    _pair_samples(inputs.view(np.uint32), half, -(-count // SPAN) * SPAN, pairs[0])
    _pair_weights(weights.view(np.uint32), rows, half, row, column, paired_weights)
    samples, factors = pairs[0].view(np.float32), paired_weights.view(np.float32)
    for s in range(0, count, SPAN):
        for r in range(0, rows, ROWS):
            place = r * out_row + s
            _multiply_pairs_block(
                factors, r * half, half, 1, samples, s, pair_row, outputs, place, out_row, half
            )


@jit(inline=True)
def _pair(lower, upper):
    """The bits of two float32, rounded to bfloat16, in those of one."""
    half, sixteen = np.uint32(0x8000), np.uint32(16)
    return ((lower + half) >> sixteen) | ((upper + half) & np.uint32(0xFFFF0000))


@jit
def _pair_weights(bits, rows, half, row, column, pairs):
    """Pairs of terms that follow each other, row by row."""
    for r in range(rows):
        for k in range(half):
            place = r * row + 2 * k * column
            pairs[r * half + k] = _pair(bits[place], bits[place + column])


@jit
def _pair_samples(bits, half, count, pairs):
    """Pairs of features that follow each other, sample by sample."""
    for k in range(half):
        lower, upper, line = bits[2 * k], bits[2 * k + 1], pairs[k]
        for s in range(count):
            line[s] = _pair(lower[s], upper[s])


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
