# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation of tables of which a step touches few rows, on CPUs."""

import numpy as np

from .compilation import jit
from .instructions_numba import LANES, adam_row, blend_rows, prefetch_row

LOOK_AHEAD = 8
"""Rows that are asked for before they are needed."""


@jit
def smooth(first, last, rows, cells, index, strides, shares, out):
    """Writes rows to `out`, drawn to the mean of their stored neighbours by `shares` of the way.

    `cells` is where in `index` a row stands; `shares` has one for each channel.
    """
    channels = rows.shape[1]
    ids, weights = np.empty((1, 8), np.uint32), np.zeros((1, 8), np.float32)
    change, here = np.empty(channels, np.float32), np.uint32(0)
    for row in range(np.uint32(first), np.uint32(last)):
        cell = cells[row]
        found = np.float32(0)
        for place in range(8):
            neighbour = index[cell + strides[place]] if place < 6 else np.int32(-1)
            stored = neighbour >= 0
            ids[0, place] = np.uint32(neighbour) if stored else np.uint32(row)
            weights[0, place] = np.float32(1) if stored else np.float32(0)
            found += weights[0, place]
        part = np.float32(1) / max(found, np.float32(1))
        for place in range(6):
            weights[0, place] *= part
        weights[0, 6] = -found * part
        blend_rows(rows, ids, weights, here, change)
        for c in range(channels):
            out[row, c] = rows[row, c] + shares[c] * change[c]


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
