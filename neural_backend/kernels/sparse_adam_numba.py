# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation of tables of which a step touches few rows, on CPUs."""

import numpy as np

from .compilation import jit
from .instructions_numba import LANES, prefetch_row

ZERO, ONE = np.float32(0.0), np.float32(1.0)
LOOK_AHEAD = 8
"""Rows that are asked for before they are needed."""


@jit
def smooth(first, last, rows, gradient, touched, cells, index, strides, amounts):
    """Adds the gradient of the squared differences between touched rows and their six neighbours.

    `cells` is where in `index` a row stands; `amounts` weighs each channel.

    Source: Fridovich-Keil et al. 2022, "Plenoxels", sec. 3.4 (total variation).
    """
    num_channels = rows.shape[1]
    for row in range(np.uint32(first), np.uint32(last)):
        if touched[row] == 0:
            continue
        cell = cells[row]
        for axis in range(6):
            neighbour = index[cell + strides[axis]]
            if neighbour < 0:
                continue
            other = np.uint32(neighbour)
            for c in range(num_channels):
                gradient[row, c] += amounts[c] * (rows[row, c] - rows[other, c])


@jit
def update(
    first,
    last,
    rows,
    means,
    squares,
    gradients,
    touched,
    rates,
    beta1,
    beta2,
    correct1,
    correct2,
    scale,
):
    """Adam on the touched rows of a span; clears their gradients.

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    Differs: rows without a gradient keep their moments.
    """
    num_channels, num_parts = rows.shape[1], gradients.shape[0]
    chosen = np.empty(last - first, np.uint32)
    count = 0
    for row in range(np.uint32(first), np.uint32(last)):
        if touched[row]:
            touched[row] = 0
            chosen[count] = row
            count += 1
    for place in range(count):
        if place + LOOK_AHEAD < count:
            ahead = chosen[place + LOOK_AHEAD]
            prefetch_row(rows, ahead)
            prefetch_row(means, ahead)
            prefetch_row(squares, ahead)
            for part in range(num_parts):
                prefetch_row(gradients[part], ahead)
        row = chosen[place]
        for c0 in range(0, num_channels, LANES):
            for part in range(1, num_parts):
                for lane in range(LANES):
                    c = c0 + lane
                    gradients[0, row, c] += gradients[part, row, c]
                    gradients[part, row, c] = ZERO
            for lane in range(LANES):
                c = c0 + lane
                g = gradients[0, row, c] * scale
                gradients[0, row, c] = ZERO
                mean = beta1 * means[row, c] + (ONE - beta1) * g
                square = beta2 * squares[row, c] + (ONE - beta2) * g * g
                means[row, c] = mean
                squares[row, c] = square
                rows[row, c] -= (
                    rates[c] * mean * correct1 / (np.sqrt(square * correct2) + np.float32(1e-8))
                )
