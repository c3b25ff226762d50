# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.datasets.capture import View
from neural_backend.datasets.hard_pixels import HardPixels
from neural_backend.datasets.images import LoadedViews
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.cameras import Intrinsics

SIZES = ((20, 12), (9, 17))
"""(width, height) of two pictures; neither is made of whole blocks."""


@pytest.fixture
def batches() -> RayBatches:
    views = tuple(
        View(name=f"{width}", intrinsics=lens_of(width, height), camera_to_world=np.eye(4))
        for width, height in SIZES
    )
    counts = [width * height for width, height in SIZES]
    pixels = np.full((sum(counts), 4), 255, np.uint8)
    return RayBatches(LoadedViews(views=views, pixels=pixels, offsets=np.cumsum([0, *counts])))


def lens_of(width: int, height: int) -> Intrinsics:
    return Intrinsics(
        width=width,
        height=height,
        focal_x_px=10.0,
        focal_y_px=10.0,
        center_x_px=width / 2,
        center_y_px=height / 2,
    )


def by_hand(pixel: int) -> int:
    """The block of a pixel, counted out."""
    first = 0
    for width, height in SIZES:
        columns, rows = (width + 7) // 8, (height + 7) // 8
        if pixel < width * height:
            return first + (pixel // width) // 8 * columns + pixel % width // 8
        pixel -= width * height
        first += columns * rows
    raise AssertionError("expected a pixel of the two pictures")


def test_each_pixel_belongs_to_the_block_that_counting_gives(batches: RayBatches) -> None:
    blocks = HardPixels(batches, 2).blocks_of(torch.arange(batches.num_pixels))
    assert blocks.tolist() == [by_hand(pixel) for pixel in range(batches.num_pixels)]


def test_while_nothing_is_known_all_pixels_are_as_likely(batches: RayBatches) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = HardPixels(batches, 3).draw(40_000, generator)
    counts = torch.bincount(drawn, minlength=batches.num_pixels).double()
    expected = 40_000 / batches.num_pixels
    assert float(counts.min()) > expected / 2
    assert float(counts.max()) < expected * 2


def test_pixels_are_drawn_by_the_root_of_their_blocks_error(batches: RayBatches) -> None:
    hard = HardPixels(batches, 16)
    hard.squared_errors.fill_(1.0)
    hard.squared_errors[0] = 9.0
    drawn = hard.draw(60_000, torch.Generator().manual_seed(0))
    inside = hard.blocks_of(torch.arange(batches.num_pixels)) == 0
    mean = float(torch.where(inside, 3.0, 1.0).mean())
    expected = (3 + 0.3 * mean) / (1 + 0.3 * mean)
    counts = torch.bincount(drawn, minlength=batches.num_pixels).double()
    # Sixteen candidates stand for all but nearly.
    assert float(counts[inside].mean() / counts[~inside].mean()) == pytest.approx(expected, rel=0.1)


def test_no_pixel_outside_the_candidates_is_drawn(batches: RayBatches) -> None:
    batches.candidates = torch.tensor([3, 5, 250])
    hard = HardPixels(batches, 4)
    hard.learn(torch.tensor([0, 100]), torch.tensor([1e6, 1e6]))
    drawn = hard.draw(500, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {3, 5, 250}


def test_errors_follow_what_was_seen_last(batches: RayBatches) -> None:
    hard = HardPixels(batches, 2)
    hard.squared_errors.fill_(1.0)
    first, last = 0, batches.num_pixels - 1
    hard.learn(torch.tensor([first, first, last]), torch.tensor([2.0, 4.0, 0.0]))
    block_of_last = by_hand(last)
    expected = torch.ones_like(hard.squared_errors)
    expected[0], expected[block_of_last] = 0.64 * 1.0 + 0.36 * 3.0, 0.8
    torch.testing.assert_close(hard.squared_errors, expected)


def test_pixels_that_were_left_out_teach_nothing(batches: RayBatches) -> None:
    hard = HardPixels(batches, 2)
    hard.squared_errors.fill_(1.0)
    first, last = 0, batches.num_pixels - 1
    looked_at = torch.tensor([1.0, 0.0, 0.0])
    hard.learn(torch.tensor([first, first, last]), torch.tensor([2.0, 0.0, 0.0]), looked_at)
    expected = torch.ones_like(hard.squared_errors)
    expected[0] = 0.8 * 1.0 + 0.2 * 2.0
    torch.testing.assert_close(hard.squared_errors, expected)
