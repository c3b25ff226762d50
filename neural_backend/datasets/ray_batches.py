# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pixel of a capture as a ray with its color, ready to be drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ..geometry.cameras import Intrinsics, pixel_directions
from ..geometry.rays import Rays
from ..kernels import process_group
from ..kernels.pixel_rays import PixelTables, pixel_rays, views_of
from .capture import View
from .images import LoadedViews


@dataclass(frozen=True)
class RayBatch:
    """Rays and the straight-alpha sRGB colors in [0, 1] seen along them; `rays.views` is set."""

    rays: Rays
    rgba: Float[Tensor, "rays 4"]


class RayBatches:
    """The pixels of a capture's views, numbered from 0 over all views, row by row.

    Directions in camera space are stored once for each distinct lens, so that memory is that of
    the pixels and poses.
    """

    num_pixels: int
    candidates: Int[Tensor, " candidates"] | None
    """The pixels that `draw` chooses from; None for all. A method's `prepare` may set it; ignored
    ones are left out."""
    views: tuple[View, ...]
    pixels: UInt8[Tensor, "pixels 4"]
    pixel_offsets: Int[Tensor, " views+1"]
    """View i owns the pixels from entry i to before entry i + 1; on the CPU."""
    lens_directions: Float[Tensor, "lens_pixels 3"]
    """Unit directions in camera space, of all pixels of the distinct lenses."""
    lens_offsets: Int[Tensor, " views"]
    """Where the lens of each view starts in `lens_directions`."""
    rotations: Float[Tensor, "views 3 3"]
    origins: Float[Tensor, "views 3"]
    times: Float[Tensor, " views"] | None

    def __init__(self, loaded: LoadedViews, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.views = loaded.views
        self.num_pixels = len(loaded.pixels)
        self.pixels = torch.from_numpy(loaded.pixels).to(self.device)
        self.pixel_offsets = torch.from_numpy(loaded.offsets.astype(np.int64))
        self._starts = self.pixel_offsets[:-1].to(self.device)
        sizes = self.pixel_offsets.diff()
        self._pixels_per_view = int(sizes[0]) if bool((sizes == sizes[0]).all()) else 0
        poses = np.array([view.camera_to_world for view in self.views], dtype=np.float32)
        self.rotations = torch.from_numpy(poses[:, :3, :3].copy()).to(self.device)
        self.origins = torch.from_numpy(poses[:, :3, 3].copy()).to(self.device)
        self._set_lenses([view.intrinsics for view in self.views])
        self.times = None
        if any(view.time is not None for view in self.views):
            times = [0.0 if view.time is None else view.time for view in self.views]
            self.times = torch.tensor(times, dtype=torch.float32, device=self.device)
        self.candidates = None
        if loaded.ignored is not None:
            self.candidates = torch.from_numpy(np.flatnonzero(~loaded.ignored)).to(self.device)
        if self.device.type == "cuda" and self.num_pixels:
            # Has the kernel compiled now, before a training's seconds are counted.
            self.rays(torch.zeros(1, dtype=torch.long, device=self.device))

    @property
    def num_views(self) -> int:
        return len(self.views)

    def view_of(self, pixels: Int[Tensor, " rays"]) -> Int[Tensor, " rays"]:
        """The view that each pixel belongs to."""
        return views_of(pixels, self._starts, self._pixels_per_view)

    def rays(self, pixels: Int[Tensor, " rays"]) -> RayBatch:
        """The rays through these pixels."""
        found = pixel_rays(pixels, self._tables())
        return RayBatch(Rays(found.origins, found.directions, found.times, found.views), found.rgba)

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """The rays through pixels from `draw_pixels`; of several processes each has its own."""
        pixels = self.draw_pixels(count * process_group.size(), generator)
        return self.rays(process_group.part(pixels))

    def draw_pixels(self, count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
        """Random pixels, uniformly over `candidates`."""
        high = self.num_pixels if self.candidates is None else len(self.candidates)
        chosen = torch.randint(high, (count,), generator=generator, device=generator.device)
        chosen = chosen.to(self.device, non_blocking=True)
        if self.candidates is not None:
            chosen = self.candidates.index_select(0, chosen)
        return chosen

    def view_rays(self, index: int) -> Rays:
        """All rays of a view, row by row."""
        pixels = torch.arange(
            int(self.pixel_offsets[index]), int(self.pixel_offsets[index + 1]), device=self.device
        )
        return self.rays(pixels).rays

    def view_image(self, index: int) -> Float[Tensor, "height width 4"]:
        """The picture of a view, straight alpha in [0, 1]."""
        lens = self.views[index].intrinsics
        start, end = self.pixel_offsets[index : index + 2].tolist()
        return self.pixels[start:end].float().div_(255).reshape(lens.height, lens.width, 4)

    def _tables(self) -> PixelTables:
        return PixelTables(
            self.pixels,
            self._starts,
            self._lens_shifts,
            self.lens_directions,
            self.rotations,
            self.origins,
            self.times,
            self._pixels_per_view,
        )

    def _set_lenses(self, lenses: Sequence[Intrinsics]) -> None:
        offsets: dict[Intrinsics, int] = {}
        tables, end = [], 0
        for lens in dict.fromkeys(lenses):
            offsets[lens] = end
            tables.append(pixel_directions(lens).reshape(-1, 3))
            end += len(tables[-1])
        self.lens_directions = torch.from_numpy(np.concatenate(tables)).to(self.device)
        self.lens_offsets = torch.tensor([offsets[lens] for lens in lenses], device=self.device)
        self._lens_shifts = self.lens_offsets - self._starts


def camera_rays(
    intrinsics: Intrinsics,
    camera_to_world: np.ndarray,
    time: float | None = None,
    view: int | None = None,
    device: torch.device | str = "cpu",
) -> Rays:
    """The rays through all pixels of a camera, row by row.

    `view` is the training view whose appearance they take.
    """
    seen = _all_directions(intrinsics, device)
    pose = torch.from_numpy(np.asarray(camera_to_world, dtype=np.float32)).to(device)
    directions = seen @ pose[:3, :3].T
    count = len(seen)
    return Rays(
        pose[:3, 3].repeat(count, 1),
        directions,
        None if time is None else torch.full((count,), float(time), device=device),
        None if view is None else torch.full((count,), view, device=device),
    )


def _all_directions(lens: Intrinsics, device: torch.device | str) -> Float[Tensor, "pixels 3"]:
    """`pixel_directions`, made where they are needed if the lens is simple: for a live view it
    would take longer to make and send them than to render it.
    """
    if lens.is_distorted:
        return torch.from_numpy(pixel_directions(lens).reshape(-1, 3)).to(device)
    columns = torch.arange(lens.width, dtype=torch.float64, device=device)
    rows = torch.arange(lens.height, dtype=torch.float64, device=device)[:, None]
    x = (columns + (0.5 - lens.center_x_px)) / lens.focal_x_px
    y = (lens.center_y_px - 0.5 - rows) / lens.focal_y_px
    lengths = (x.square() + y.square() + 1).sqrt_()
    directions = torch.empty(lens.height, lens.width, 3, device=device)
    directions[..., 0] = x / lengths
    directions[..., 1] = y / lengths
    directions[..., 2] = -1 / lengths
    return directions.view(-1, 3)
