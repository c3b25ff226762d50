# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from neural_backend.kernels.dense_numba import (
    LANES,
    SPAN,
    add_outer,
    multiply_wide,
    multiply_wide_transposed,
    room_for_pairs,
)

SHAPES = [(4, 4), (16, 64), (64, 24), (4, 8)]
COUNTS = [1, SPAN - 1, SPAN, 3 * SPAN + 5]
PRECISIONS = pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])


def matrices(rows: int, columns: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows * 1000 + columns + count)
    room = -(-count // SPAN) * SPAN + SPAN
    weights = random.normal(size=(rows, columns)).astype(np.float32)
    inputs = random.normal(size=(columns, room)).astype(np.float32)
    return weights, inputs, np.full((rows, room), 7, np.float32)


def rounded(values: np.ndarray, bfloat16: bool) -> np.ndarray:
    """To the 8 digits of bfloat16, the upper half of float32's bits, or not at all."""
    if not bfloat16:
        return values
    bits = (values.view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


@PRECISIONS
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", COUNTS)
def test_products_are_those_of_numpy_and_stay_within_their_spans(shape, count, bfloat16):
    weights, inputs, outputs = matrices(*shape, count)
    room = room_for_pairs(max(shape), inputs.shape[1] + SPAN, bfloat16)
    multiply_wide(weights, inputs, outputs, count, room)
    expected = rounded(weights, bfloat16) @ rounded(inputs, bfloat16)
    np.testing.assert_allclose(outputs[:, :count], expected[:, :count], atol=2e-5)
    end = -(-count // SPAN) * SPAN
    assert (outputs[:, end:] == 7).all()
    back = np.full_like(inputs, 7)
    multiply_wide_transposed(weights, outputs, back, count, room)
    expected = rounded(weights, bfloat16).T @ rounded(outputs, bfloat16)
    np.testing.assert_allclose(back[:, :count], expected[:, :count], atol=1e-4, rtol=1e-5)
    assert (back[:, end:] == 7).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, LANES, 2 * LANES + 3])
def test_outer_products_add_to_what_is_there(shape, count):
    sums, second, first = matrices(*shape, count)
    first[:] = np.random.default_rng(0).normal(size=first.shape)
    first[:, count:] = 0
    expected = sums + first @ second.T
    add_outer(first, second, sums, count)
    np.testing.assert_allclose(sums, expected, atol=1e-4)


def test_products_of_pairs_keep_huge_tiny_and_infinite_factors_apart():
    weights = np.array([[1e30, 1], [1, 0], [0, 1], [1e-30, 1]], np.float32)
    inputs = np.zeros((2, SPAN), np.float32)
    inputs[0, :3], inputs[1, :3] = (1e-30, 1e8, np.inf), (1, -1e8, 1)
    outputs = np.empty((4, SPAN), np.float32)
    multiply_wide(weights, inputs, outputs, 3, room_for_pairs(2, SPAN, True))
    with np.errstate(invalid="ignore"):
        expected = rounded(weights, True) @ rounded(inputs, True)
    np.testing.assert_allclose(outputs[:, :3], expected[:, :3], rtol=1e-6)
