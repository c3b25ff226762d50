# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation of tables of which a step touches few rows, on CPUs."""

import numpy as np

from .compilation import jit
from .instructions_numba import LANES, adam_row, prefetch_row

LOOK_AHEAD = 8
"""Rows that are asked for before they are needed."""


@jit
def smooth(first, last, rows, cells, index, strides, shares, out):
    """Writes rows to `out`, drawn to the mean of their stored neighbours by `shares` of the way.

    `cells` is where in `index` a row stands; `shares` has one for each channel.
    """
    num_channels = rows.shape[1]
    for row in range(np.uint32(first), np.uint32(last)):
        cell = cells[row]
        for c in range(num_channels):
            out[row, c] = np.float32(0)
        found = np.float32(0)
        for axis in range(6):
            neighbour = index[cell + strides[axis]]
            if neighbour < 0:
                continue
            found += np.float32(1)
            other = np.uint32(neighbour)
            for c in range(num_channels):
                out[row, c] += rows[other, c] - rows[row, c]
        part = np.float32(1) / max(found, np.float32(1))
        for c in range(num_channels):
            out[row, c] = rows[row, c] + shares[c] * part * out[row, c]


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
