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
def update(first, last, table, touched, marks, rates, beta2, correct, scale):
    """Adam without momentum on the touched rows of a span of (values, squares, gradients…).

    The span counts in eights of rows: `marks` are the same bytes as `touched`, eight to a number,
    so that most of a large table's are passed by at a glance.

    Source and differences: see `training.sparse_adam`.
    """
    vectors = np.uint32(table.shape[1] // LANES)
    chosen = np.empty(8 * (last - first), np.uint32)
    count = 0
    for eight in range(np.uint32(first), np.uint32(last)):
        if marks[eight] == 0:
            continue
        for row in range(np.uint32(8) * eight, np.uint32(8) * eight + np.uint32(8)):
            if touched[row]:
                chosen[count] = row
                count += 1
        marks[eight] = 0
    for place in range(count):
        if place + LOOK_AHEAD < count:
            for vector in range(vectors):
                prefetch_row(table, chosen[place + LOOK_AHEAD], vector * np.uint32(LANES))
        adam_row(table, chosen[place], rates, beta2, correct, scale)
