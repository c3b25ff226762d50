# SPDX-License-Identifier: GPL-3.0-or-later
"""Processor instructions that Python has no words for: vectors, prefetches, bits.

Written for LLVM directly, because loops over a table's few channels were left scalar by its own
vectoriser. Tables are float32 arrays whose rows are contiguous and a multiple of `LANES` long.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Numbers in a vector; processors with shorter ones take several instructions."""

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_FAST = ("contract", "reassoc")


@intrinsic
def float_of_bits(typing_context, bits):
    """The float32 that has the bits of an int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], _FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def prefetch_row(typing_context, table, row, channel):
    """Starts to fetch the 64 bytes of a row from `channel` on from memory."""

    def generate(context, builder, signature, arguments):
        place = _row(context, builder, signature.args[0], arguments[0], arguments[1])
        place = builder.gep(place, [builder.zext(arguments[2], _INT64)])
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        place = builder.bitcast(place, byte)
        builder.call(function, [place, _INT32(0), _INT32(3), _INT32(1)])
        return context.get_dummy_value()

    return types.void(table, types.uint32, types.uint32), generate


@intrinsic
def blend_rows(typing_context, table, ids, weights, sample, out):
    """Writes to `out` the sum of the eight rows `ids[sample]`, times `weights[sample]`."""

    def generate(context, builder, signature, arguments):
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        ]
        first = builder.mul(builder.zext(arguments[3], _INT64), _INT64(8))
        rows, shares = [], []
        for corner in range(8):
            place = builder.add(first, _INT64(corner))
            row = builder.load(builder.gep(arrays[1].data, [place]))
            rows.append(_row(context, builder, signature.args[0], arguments[0], row))
            shares.append(_spread(builder, builder.load(builder.gep(arrays[2].data, [place]))))
        target = context.make_array(signature.args[4])(context, builder, arguments[4]).data

        def blend(channel):
            total = None
            for row, share in zip(rows, shares, strict=True):
                part = builder.fmul(_load(builder, row, channel), share, flags=_FAST)
                total = part if total is None else builder.fadd(total, part, flags=_FAST)
            _store(builder, total, target, channel)

        _for_each_vector(context, builder, signature.args[0], arguments[0], blend)
        return context.get_dummy_value()

    return types.void(table, ids, weights, types.uint32, out), generate


@intrinsic
def add_to_row(typing_context, table, row, share, values):
    """Adds `share` times `values` to a row."""

    def generate(context, builder, signature, arguments):
        target = _row(context, builder, signature.args[0], arguments[0], arguments[1])
        source = context.make_array(signature.args[3])(context, builder, arguments[3]).data
        share_vector = _spread(builder, arguments[2])

        def add(channel):
            part = builder.fmul(_load(builder, source, channel), share_vector, flags=_FAST)
            total = builder.fadd(_load(builder, target, channel), part, flags=_FAST)
            _store(builder, total, target, channel)

        _for_each_vector(context, builder, signature.args[0], arguments[0], add)
        return context.get_dummy_value()

    return types.void(table, types.uint32, types.float32, values), generate


@intrinsic
def adam_row(typing_context, table, row, rates, beta2, correct, scale):
    """One step of Adam without momentum on a row of (values, squares, gradients…).

    Each is as wide as `rates`. The gradients are added up, multiplied by `scale`, and cleared.
    """

    def generate(context, builder, signature, arguments):
        kind, value = signature.args[0], arguments[0]
        row_start = _row(context, builder, kind, value, arguments[1])
        rates_array = context.make_array(signature.args[2])(context, builder, arguments[2])
        width = builder.extract_value(rates_array.shape, 0)
        table_array = context.make_array(kind)(context, builder, value)
        parts = builder.udiv(builder.extract_value(table_array.shape, 1), width)
        numbers = [_spread(builder, number) for number in arguments[3:]]
        keep, correct_square, factor = numbers
        one, zero = (ir.Constant(_VECTOR, [x] * LANES) for x in (1.0, 0.0))
        tiny = ir.Constant(_VECTOR, [1e-8] * LANES)
        root = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{LANES}f32"
        )

        def step(channel):
            total = cgutils.alloca_once_value(builder, zero)
            with cgutils.for_range(builder, builder.sub(parts, _INT64(2))) as part:
                at = builder.mul(builder.add(part.index, _INT64(2)), width)
                at = builder.add(at, channel)
                found = _load(builder, row_start, at)
                builder.store(builder.fadd(builder.load(total), found), total)
                _store(builder, zero, row_start, at)
            gradient = builder.fmul(builder.load(total), factor)
            at_square = builder.add(channel, width)
            squared = builder.fmul(gradient, gradient)
            square = _mixed(builder, _load(builder, row_start, at_square), squared, keep, one)
            _store(builder, square, row_start, at_square)
            rooted = builder.call(root, [builder.fmul(square, correct_square)])
            change = builder.fmul(_load(builder, rates_array.data, channel), gradient)
            change = builder.fdiv(change, builder.fadd(rooted, tiny), flags=("arcp",))
            old = _load(builder, row_start, channel)
            _store(builder, builder.fsub(old, change), row_start, channel)

        with cgutils.for_range(builder, builder.udiv(width, _INT64(LANES))) as loop:
            step(builder.mul(loop.index, _INT64(LANES)))
        return context.get_dummy_value()

    number = types.float32
    return types.void(table, types.uint32, rates, number, number, number), generate


def _mixed(builder, old, new, share, one):
    """Share · old + (1 − share) · new."""
    rest = builder.fmul(builder.fsub(one, share), new)
    return builder.fadd(builder.fmul(share, old), rest)


def _row(context, builder, kind, value, row):
    """Where a row of a table begins."""
    table = context.make_array(kind)(context, builder, value)
    offset = builder.mul(builder.zext(row, _INT64), builder.extract_value(table.strides, 0))
    start = builder.gep(builder.bitcast(table.data, ir.IntType(8).as_pointer()), [offset])
    return builder.bitcast(start, _FLOAT.as_pointer())


def _for_each_vector(context, builder, kind, value, body):
    """Builds `body` for every vector of a table's row."""
    table = context.make_array(kind)(context, builder, value)
    width = builder.extract_value(table.shape, 1)
    stop = builder.udiv(width, width.type(LANES))
    with cgutils.for_range(builder, stop) as loop:
        body(builder.mul(loop.index, _INT64(LANES)))


def _load(builder, start, channel):
    place = builder.bitcast(builder.gep(start, [channel]), _VECTOR.as_pointer())
    return builder.load(place, align=4)


def _store(builder, vector, start, channel):
    place = builder.bitcast(builder.gep(start, [channel]), _VECTOR.as_pointer())
    builder.store(vector, place, align=4)


def _spread(builder, number):
    """A vector of one number."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, _INT32(0))
    everywhere = ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, everywhere)
