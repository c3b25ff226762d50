# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole pictures from rays."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..geometry.rays import Rays, RenderedRays

RenderFn = Callable[[Rays, bool], RenderedRays]
"""What a field shows along rays; the second argument asks for normals."""

_FIRST_TILE = {"cpu": 1 << 12, "cuda": 1 << 16}
_LARGEST_TILE = 1 << 20
_TILE_SECONDS = 0.5
"""A tile is about this long, so that a job can say how far it is, and can be cancelled."""


@dataclass(frozen=True)
class RenderedImage:
    """A picture, row by row from the top.

    `rgb` (height, width, 3) is premultiplied by `alpha` (height, width), without background.
    `depth` is z-depth: the distance in scene units from the camera's plane, not along the ray;
    infinite where nothing is seen. `normals` (height, width, 3) are in world space, zero where
    nothing is seen.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32] | None = None

    def straight_rgba(self) -> NDArray[np.float32]:
        """Colors as they are before they are mixed by alpha, as files have them."""
        color = self.rgb / np.maximum(self.alpha, 1e-6)[..., None]
        return np.concatenate([np.clip(color, 0, 1), self.alpha[..., None]], axis=-1)

    def over(self, background: float) -> NDArray[np.float32]:
        """The (height, width, 3) picture in front of a gray: 0 is black, 1 is white."""
        return np.clip(self.rgb + (1 - self.alpha[..., None]) * background, 0, 1)


def render_view(
    render_fn: RenderFn,
    rays: Rays,
    size: tuple[int, int],
    camera_to_world: NDArray[np.floating],
    normals: bool = False,
) -> Generator[float, None, RenderedImage]:
    """Renders the `rays` through all pixels of a camera, row by row; `size` is (height, width).

    Yields the finished share after each tile.
    """
    parts: list[RenderedRays] = []
    start, tile = 0, _FIRST_TILE[rays.origins.device.type]
    while start < len(rays):
        began = time.perf_counter()
        parts.append(render_fn(rays[start : start + tile], normals))
        start += tile
        if time.perf_counter() - began < _TILE_SECONDS / 2:
            tile = min(2 * tile, _LARGEST_TILE)
        yield min(1.0, start / len(rays))
    alpha = torch.cat([part.accumulation for part in parts]).clamp(0, 1)
    depth = torch.cat([part.depth for part in parts])
    forward = torch.as_tensor(-camera_to_world[:3, 2], dtype=torch.float32, device=depth.device)
    z_depth = torch.where(depth.isfinite(), depth * (rays.directions @ forward), torch.inf)
    return RenderedImage(
        rgb=_image(torch.cat([part.rgb for part in parts]), size),
        alpha=_image(alpha, size),
        depth=_image(z_depth, size),
        normals=_normals(parts, size) if normals else None,
    )


def _normals(parts: list[RenderedRays], size: tuple[int, int]) -> NDArray[np.float32]:
    found = [part.normals for part in parts if part.normals is not None]
    if len(found) < len(parts):
        raise ValueError("expected a renderer that gives normals, got none")
    seen = torch.cat([part.accumulation for part in parts])[:, None] > 0
    return _image(torch.where(seen, torch.cat(found), 0.0), size)


def _image(values: torch.Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    return values.detach().float().cpu().numpy().reshape(*size, *values.shape[1:])
