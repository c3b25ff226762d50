# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pictures' alpha says: where the scene is seen, which pixels can teach something."""

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from .ray_batches import RayBatches


def silhouettes(batches: RayBatches) -> list[NDArray[np.bool_]]:
    """Where each view shows something, (height, width)."""
    alpha = batches.pixels[:, 3].cpu().numpy() > 0
    offsets = batches.pixel_offsets.tolist()
    return [
        alpha[offsets[i] : offsets[i + 1]].reshape(view.intrinsics.height, view.intrinsics.width)
        for i, view in enumerate(batches.views)
    ]


def pixels_near_silhouettes(batches: RayBatches) -> Int[Tensor, " pixels"]:
    """The candidates whose rays can meet the scene: those on a silhouette or a little beside it."""
    near = np.concatenate([_widened(shown).reshape(-1) for shown in silhouettes(batches)])
    chosen = torch.from_numpy(near).to(batches.device)
    if batches.candidates is not None:
        allowed = torch.zeros_like(chosen)
        allowed[batches.candidates] = True
        chosen &= allowed
    return chosen.nonzero()[:, 0]


def _widened(shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A silhouette and at least a fortieth of the picture around it, in blocks."""
    height, width = shown.shape
    size = max(2, max(shown.shape) // 40)
    rows, columns = -(-height // size), -(-width // size)
    padded = np.zeros((rows * size, columns * size), dtype=bool)
    padded[:height, :width] = shown
    blocks = np.zeros((rows + 2, columns + 2), dtype=bool)
    blocks[1:-1, 1:-1] = padded.reshape(rows, size, columns, size).any(axis=(1, 3))
    blocks = blocks[:-2] | blocks[1:-1] | blocks[2:]
    blocks = blocks[:, :-2] | blocks[:, 1:-1] | blocks[:, 2:]
    return blocks.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
