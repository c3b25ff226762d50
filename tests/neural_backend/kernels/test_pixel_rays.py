# SPDX-License-Identifier: GPL-3.0-or-later
from itertools import accumulate
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.kernels.pixel_rays import (
    PixelRays,
    PixelTables,
    pixel_rays,
    pixel_rays_by_torch,
)
from tests.neural_backend.datasets.small_captures import transforms_values, write_small_capture

VIEWS = {
    "one view": [30],
    "views alike": [35] * 6,
    "views of one pixel": [1] * 5,
    "different views": [6, 35, 6, 1, 300],
    "a power of two of views": [4, 2, 2, 9, 4, 4, 4, 1],
    "one more": [4, 2, 2, 9, 4, 4, 4, 1, 7],
}
"""The number of pixels of each view; those of the same number share a lens."""


def make_tables(sizes: list[int], moves: bool, generator: torch.Generator) -> PixelTables:
    lenses = list(dict.fromkeys(sizes))
    lens_starts = dict(zip(lenses, accumulate(lenses, initial=0), strict=False))
    ends = torch.tensor(sizes).cumsum(dim=0)
    first_pixels = ends - torch.tensor(sizes)
    count = len(sizes)
    return PixelTables(
        pixels=torch.randint(256, (int(ends[-1]), 4), dtype=torch.uint8, generator=generator),
        first_pixels=first_pixels,
        lens_shifts=torch.tensor([lens_starts[size] for size in sizes]) - first_pixels,
        lens_directions=F.normalize(torch.randn(sum(lenses), 3, generator=generator), dim=-1),
        rotations=torch.linalg.qr(torch.randn(count, 3, 3, generator=generator)).Q,
        origins=10 * torch.randn(count, 3, generator=generator),
        times=torch.rand(count, generator=generator) if moves else None,
        pixels_per_view=sizes[0] if len(lenses) == 1 else 0,
    )


def on(device: torch.device, tables: PixelTables) -> PixelTables:
    return PixelTables(
        *(part.to(device) if isinstance(part, torch.Tensor) else part for part in tables)
    )


def check(found: PixelRays, pixels: torch.Tensor, tables: PixelTables) -> None:
    """Fails unless directions are those of double precision, all else that of the twin."""
    gathered = pixel_rays_by_torch(pixels, tables)
    for name in ("origins", "times", "views", "rgba"):
        of_kernel, expected = getattr(found, name), getattr(gathered, name)
        if expected is None:
            assert of_kernel is None, name
        else:
            torch.testing.assert_close(of_kernel, expected, rtol=0, atol=0)
    exact = tables._replace(
        lens_directions=tables.lens_directions.double(), rotations=tables.rotations.double()
    )
    directions = pixel_rays_by_torch(pixels, exact).directions
    torch.testing.assert_close(found.directions.double(), directions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 63, 300])
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_triton_gathers_what_the_twin_gathers(name, moves, count, triton):
    generator = torch.Generator().manual_seed(count)
    tables = make_tables(VIEWS[name], moves, generator)
    pixels = torch.randint(len(tables.pixels), (count,), generator=generator).to(triton)
    tables = on(triton, tables)
    check(pixel_rays(pixels, tables), pixels, tables)


@pytest.mark.parametrize("name", VIEWS)
def test_the_first_and_the_last_pixel_of_every_view_are_its_own(name, triton):
    sizes = torch.tensor(VIEWS[name])
    tables = on(triton, make_tables(VIEWS[name], True, torch.Generator().manual_seed(1)))
    last = sizes.cumsum(dim=0).to(triton) - 1
    numbers = torch.arange(len(sizes), device=triton)
    for pixels in (tables.first_pixels, last):
        found = pixel_rays(pixels, tables)
        assert torch.equal(found.views, numbers)
        check(found, pixels, tables)


def test_every_byte_becomes_the_same_color_in_each_channel(triton):
    tables = make_tables([256], False, torch.Generator().manual_seed(2))
    numbers = torch.arange(256)
    colors = torch.stack([numbers, 255 - numbers, numbers.roll(77), numbers.flip(0).roll(9)], dim=1)
    tables = on(triton, tables._replace(pixels=colors.to(torch.uint8)))
    rgba = pixel_rays(numbers.to(triton), tables).rgba
    torch.testing.assert_close(rgba.double().cpu(), colors.double() / 255, rtol=1e-6, atol=0)
    assert torch.equal(rgba.cpu(), colors.float() * (1 / 255))


def test_the_pixels_of_a_capture_are_rays_of_its_cameras_by_both(tmp_path: Path, triton) -> None:
    values = transforms_values()
    values["frames"][4] |= {"fl_x": 50.0, "k1": 0.1}
    loaded = load_images(load_capture(write_small_capture(tmp_path, values)))
    batches = RayBatches(loaded, triton)
    pixels = batches.draw_pixels(500, torch.Generator().manual_seed(3))
    batch = batches.rays(pixels)
    rays = batch.rays
    found = PixelRays(rays.origins, rays.directions, rays.times, rays.views, batch.rgba)
    check(found, pixels, batches._tables())
