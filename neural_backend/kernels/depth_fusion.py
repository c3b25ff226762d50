# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed distance that many depth pictures agree on: Numba on CPUs, plain torch elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .threads import for_each, spans

_POINTS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class DepthPictures:
    """Depth pictures of pinhole cameras, packed one after the other.

    `cameras` holds world-to-camera (3 × 4, row by row), focal lengths x and y, center x and y, in
    pixels; `sizes` (height, width) of each picture, at least 2 × 2; `depths` z-depth in scene
    units, infinite where a picture sees through.
    """

    cameras: Float[Tensor, "views 16"]
    sizes: Int[Tensor, "views 2"]
    offsets: Int[Tensor, " views"]
    depths: Float[Tensor, " pixels"]

    @classmethod
    def pack(
        cls,
        camera_to_world: Sequence[NDArray[np.floating]],
        lenses: Sequence[tuple[float, float, float, float]],
        depths: Sequence[NDArray[np.floating]],
        device: torch.device | str = "cpu",
    ) -> "DepthPictures":
        """From (4, 4) poses, (focal x, focal y, center x, center y) and (height, width) depths."""
        rows = [
            [*np.linalg.inv(np.asarray(pose, dtype=np.float64))[:3].reshape(-1), *lens]
            for pose, lens in zip(camera_to_world, lenses, strict=True)
        ]
        lengths = np.cumsum([0, *(picture.size for picture in depths)])
        flat = np.concatenate([picture.reshape(-1) for picture in depths]).astype(np.float32)
        return cls(
            torch.tensor(rows, dtype=torch.float32, device=device),
            torch.tensor([picture.shape for picture in depths], device=device),
            torch.from_numpy(lengths[:-1]).to(device),
            torch.from_numpy(flat).to(device),
        )


def fused_distance(
    points: Float[Tensor, "points 3"], pictures: DepthPictures, band: float
) -> Float[Tensor, " points"]:
    """Distance to the surface seen by the pictures, in scene units, negative behind it.

    Each picture that shows a point tells how far before (+) or behind (−) what it sees the point
    lies, along its ray and cut at `band`; the result is their weighted mean. Behind the surface a
    picture's say falls to none at `band`, where it cannot know. Points that are in view but behind
    everything are inside (−`band`), those that no picture shows outside (`band`).

    Source: Curless and Levoy 1996, "A volumetric method for building complex models from range
    images", sec. 3; Newcombe et al. 2011, "KinectFusion", sec. 3.3.
    """
    if points.device.type != "cpu":
        return fused_distance_reference(points, pictures, band)
    from .depth_fusion_numba import fuse

    out = np.empty(len(points), dtype=np.float32)
    arrays = (
        np.ascontiguousarray(points.detach().numpy(), dtype=np.float32),
        pictures.cameras.numpy(), pictures.sizes.numpy(), pictures.offsets.numpy(),
        pictures.depths.numpy(), np.float32(band), out,
    )  # fmt: skip
    parts = spans(len(points), _POINTS_AT_ONCE)
    for_each(lambda part: fuse(*parts[part], *arrays), len(parts))
    return torch.from_numpy(out)


def fused_distance_reference(
    points: Float[Tensor, "points 3"], pictures: DepthPictures, band: float
) -> Float[Tensor, " points"]:
    """`fused_distance`, one picture at a time, in the precision of `points`."""
    total, weights = torch.zeros_like(points[:, 0]), torch.zeros_like(points[:, 0])
    seen = torch.zeros_like(total, dtype=torch.bool)
    for camera, size, offset in zip(
        pictures.cameras.to(points), pictures.sizes.tolist(), pictures.offsets.tolist(), strict=True
    ):
        height, width = size
        picture = pictures.depths[offset : offset + height * width].view(height, width).to(points)
        away = (points @ camera[:12].view(3, 4)[:, :3].T + camera[3:12:4]) * points.new_tensor(
            [1, -1, -1]
        )
        z = away[:, 2]
        u = camera[14] + camera[12] * away[:, 0] / z - 0.5
        v = camera[15] + camera[13] * away[:, 1] / z - 0.5
        shown = (z > 1e-6) & (u >= -0.5) & (v >= -0.5) & (u < width - 0.5) & (v < height - 0.5)
        depth = _looked_up(picture, torch.where(shown, u, 0), torch.where(shown, v, 0), band)
        distance = (depth - z) * away.norm(dim=-1) / z
        known = shown & (distance > -band)
        weight = torch.where(known, (1 + distance / band).clamp(max=1), 0)
        total += torch.where(known, weight * distance.clamp(max=band), 0)
        weights += weight
        seen |= shown
    unknown = torch.where(seen, -band, band)
    return torch.where(weights > 0, total / weights.clamp(min=1e-30), unknown)


def _looked_up(picture: Float[Tensor, "height width"], u: Tensor, v: Tensor, band: float) -> Tensor:
    """Interpolated where the four pixels around see one surface, else the nearest pixel's."""
    height, width = picture.shape
    left, top = u.floor().clamp(0, width - 2).long(), v.floor().clamp(0, height - 2).long()
    fu, fv = (u - left).clamp(0, 1), (v - top).clamp(0, 1)
    four = torch.stack(
        [picture[top + row, left + column] for row in (0, 1) for column in (0, 1)], dim=-1
    )
    shares = torch.stack([(1 - fv) * (1 - fu), (1 - fv) * fu, fv * (1 - fu), fv * fu], dim=-1)
    smooth = (four.amax(dim=-1) - four.amin(dim=-1)).nan_to_num(nan=torch.inf) < band
    nearest = (fv >= 0.5).long() * 2 + (fu >= 0.5).long()
    blended = torch.where(smooth[:, None], four * shares, 0).sum(dim=-1)
    return torch.where(smooth, blended, four.gather(1, nearest[:, None])[:, 0])
