# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from neural_backend.kernels.dense_numba import (
    LANES,
    SPAN,
    add_outer,
    multiply,
    multiply_transposed,
)

SHAPES = [(4, 4), (16, 64), (64, 24), (4, 8)]


def matrices(rows: int, columns: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows * 1000 + columns + count)
    room = -(-count // SPAN) * SPAN + SPAN
    weights = random.normal(size=(rows, columns)).astype(np.float32)
    inputs = random.normal(size=(columns, room)).astype(np.float32)
    return weights, inputs, np.full((rows, room), 7, np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, SPAN - 1, SPAN, 3 * SPAN + 5])
def test_products_are_those_of_numpy_and_stay_within_their_spans(shape, count):
    weights, inputs, outputs = matrices(*shape, count)
    multiply(weights, inputs, outputs, 0, count)
    np.testing.assert_allclose(outputs[:, :count], (weights @ inputs)[:, :count], atol=2e-5)
    end = -(-count // SPAN) * SPAN
    assert (outputs[:, end:] == 7).all()
    back = np.full_like(inputs, 7)
    multiply_transposed(weights, outputs, back, 0, count)
    np.testing.assert_allclose(
        back[:, :count], (weights.T @ outputs)[:, :count], atol=1e-4, rtol=1e-5
    )
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
