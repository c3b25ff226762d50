# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation of tables of which a step touches few rows, on CPUs."""

import numpy as np

from .compilation import jit
from .instructions_numba import LANES, adam_row, prefetch_row

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
def update(first, last, table, touched, rates, beta1, beta2, correct1, correct2, scale):
    """Adam on the touched rows of a span of (values, means, squares, gradients…).

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    Differs: rows without a gradient keep their moments.
    """
    vectors = np.uint32(table.shape[1] // LANES)
    chosen = np.empty(last - first, np.uint32)
    count = 0
    for row in range(np.uint32(first), np.uint32(last)):
        if touched[row]:
            touched[row] = 0
            chosen[count] = row
            count += 1
    for place in range(count):
        if place + LOOK_AHEAD < count:
            for vector in range(vectors):
                prefetch_row(table, chosen[place + LOOK_AHEAD], vector * np.uint32(LANES))
        adam_row(table, chosen[place], rates, beta1, beta2, correct1, correct2, scale)
