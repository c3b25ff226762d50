# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scene can be, by the silhouettes of its pictures alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Intrinsics
from ..kernels.threads import for_each
from ..kernels.visual_hull_numba import carve

_LARGEST_SILHOUETTE = 256
"""Pixels along the longer side; finer ones would be finer than the cells."""


def visual_hull(
    silhouettes: Sequence[NDArray[np.bool_]],
    lenses: Sequence[Intrinsics],
    camera_to_world: NDArray[np.floating],
    bounds: NDArray[np.floating],
    resolution: int,
) -> NDArray[np.bool_]:
    """The cells of a grid over `bounds` that may be full.

    `silhouettes` are (height, width), true where a picture shows something; `camera_to_world` is
    (views, 4, 4). Cells are cubes, `resolution` along the longest side. A cell stays where every
    picture that shows it wholly shows something there, and at least one does.

    Source: Laurentini 1994, "The visual hull concept for silhouette-based image understanding".
    """
    lower, upper = np.asarray(bounds, dtype=np.float64)
    cell = float((upper - lower).max()) / resolution
    shape = np.maximum(np.ceil((upper - lower) / cell - 1e-6).astype(int), 1)
    tables = [
        _silhouette_sums(silhouette, lens)
        for silhouette, lens in zip(silhouettes, lenses, strict=True)
    ]
    cameras = np.array(
        [
            _packed(lens, pose)
            for (_, lens), pose in zip(tables, np.asarray(camera_to_world), strict=True)
        ]
    )
    sizes = np.array([(lens.height, lens.width) for _, lens in tables], dtype=np.int64)
    lengths = [table.size for table, _ in tables]
    offsets = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    sums = np.concatenate([table.reshape(-1) for table, _ in tables])
    # Views that differ most first: what one of them misses the next is likely to carve.
    order = np.argsort(np.arange(len(cameras)) * 0.6180339887 % 1.0)
    kept = np.zeros(shape, dtype=np.uint8)

    def carve_slab(slab: int) -> None:
        carve(slab, slab + 1, lower, cell, cameras[order], offsets[order], sizes[order], sums, kept)

    for_each(carve_slab, int(shape[0]))
    return kept.astype(bool)


def _silhouette_sums(
    silhouette: NDArray[np.bool_], lens: Intrinsics
) -> tuple[NDArray[np.int32], Intrinsics]:
    """Summed-area table of a silhouette, reduced so that no full pixel is lost, and its lens."""
    factor = max(1, -(-max(silhouette.shape) // _LARGEST_SILHOUETTE))
    height, width = silhouette.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.zeros((rows * factor, columns * factor), dtype=bool)
    padded[:height, :width] = silhouette
    reduced = padded.reshape(rows, factor, columns, factor).any(axis=(1, 3))
    sums = np.zeros((rows + 1, columns + 1), dtype=np.int32)
    sums[1:, 1:] = reduced.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    # The padded picture is a little larger than the lens's: scale by the whole factor.
    scaled = Intrinsics(
        width=columns,
        height=rows,
        focal_x_px=lens.focal_x_px / factor,
        focal_y_px=lens.focal_y_px / factor,
        center_x_px=lens.center_x_px / factor,
        center_y_px=lens.center_y_px / factor,
        model=lens.model,
        distortion=lens.distortion,
    )
    return sums, scaled


def _packed(lens: Intrinsics, camera_to_world: NDArray[np.floating]) -> NDArray[np.float64]:
    """A camera as `kernels.visual_hull_numba` reads it."""
    packed = np.zeros(25)
    packed[:12] = np.linalg.inv(camera_to_world)[:3].reshape(-1)
    packed[12:16] = lens.focal_x_px, lens.focal_y_px, lens.center_x_px, lens.center_y_px
    packed[16] = lens.model == "OPENCV_FISHEYE"
    packed[17 : 17 + len(lens.distortion)] = lens.distortion
    return packed
