# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture goes to the graphics card in parts; here they go to a card made of arrays."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.scene import viewport_picture
from neural_fields.addon.scene.viewport_picture import BAND_PIXELS, ViewportPicture, bands_of

pytestmark = [pytest.mark.blender, pytest.mark.timeout(60)]


class ArrayTexture:
    """A texture that keeps what it was given."""

    def __init__(self, size: tuple[int, int], format: str, data: Any) -> None:
        assert format == "RGBA16F"
        width, height = size
        self.rgba = np.array(data, np.float32).reshape(height, width, 4)


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """No graphics card: textures and batches are arrays."""
    types = SimpleNamespace(
        GPUTexture=ArrayTexture, Buffer=lambda _kind, size, values: values.reshape(size)
    )
    monkeypatch.setattr(viewport_picture, "_types", types)
    monkeypatch.setattr(viewport_picture, "_shader", lambda: None)
    monkeypatch.setattr(
        viewport_picture,
        "batch_for_shader",
        lambda _shader, _kind, corners, indices: SimpleNamespace(**corners, indices=indices),
    )


def sampled(rgba: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a card reads at places from 0 to 1: linear filtering, edges go on for ever."""
    height, width = rgba.shape[:2]
    column, row = x * width - 0.5, y * height - 0.5
    left, low = np.floor(column).astype(int), np.floor(row).astype(int)
    right_share, high_share = (column - left)[..., None], (row - low)[..., None]

    def at(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return rgba[rows.clip(0, height - 1), columns.clip(0, width - 1)]

    lower = at(low, left) * (1 - right_share) + at(low, left + 1) * right_share
    upper = at(low + 1, left) * (1 - right_share) + at(low + 1, left + 1) * right_share
    return lower * (1 - high_share) + upper * high_share


def drawn(picture: ViewportPicture, width: int, height: int) -> np.ndarray:
    """The region's pixels as the bands fill them; NaN where none does."""
    region = np.full((height, width, 4), np.nan)
    x = (np.arange(width) + 0.5) / width
    for band in picture._shown:
        (_, bottom), _, (_, top), _ = band.batch.corner
        (_, low), _, (_, high), _ = band.batch.texel
        y = 2 * (np.arange(height) + 0.5) / height - 1
        rows = np.nonzero((y >= bottom) & (y < top))[0]
        place = low + (y[rows] - bottom) / (top - bottom) * (high - low)
        region[rows] = sampled(band.texture.rgba, *np.meshgrid(x, place))
    return region


def shown_at_once(rgba: np.ndarray) -> ViewportPicture:
    picture = ViewportPicture()
    picture.take(rgba)
    while picture.is_coming:
        picture.advance()
    return picture


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1920, 1080), (3, 100_001), (300_000, 4)])
def test_every_row_is_drawn_by_one_band_and_no_band_is_large(size: tuple[int, int]) -> None:
    width, height = size
    bands = bands_of(width, height)
    rows = [row for band in bands for row in range(band.start, band.stop)]
    assert rows == list(range(height))
    for band in bands:
        assert band.stop - band.start == 1 or (band.stop - band.start) * width <= BAND_PIXELS
        assert (band.first, band.last) == (max(band.start - 1, 0), min(band.stop + 1, height))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("rows_a_band", [1, 3, 100])
def test_bands_leave_no_seam(monkeypatch: pytest.MonkeyPatch, scale: int, rows_a_band: int) -> None:
    """Enlarged and filtered, the bands are the whole picture enlarged and filtered."""
    width, height = 5, 8
    rgba = np.random.default_rng(0).random((height, width, 4), dtype=np.float32)
    parts = bands_of(width, height, rows_a_band * width)
    monkeypatch.setattr(viewport_picture, "bands_of", lambda *_size: list(parts))
    x = (np.arange(width * scale) + 0.5) / (width * scale)
    y = (np.arange(height * scale) + 0.5) / (height * scale)
    found = drawn(shown_at_once(rgba), width * scale, height * scale)
    np.testing.assert_allclose(found, sampled(rgba, *np.meshgrid(x, y)), atol=1e-6)


def test_the_picture_before_is_drawn_until_the_next_is_there_whole() -> None:
    old = np.zeros((4, 6, 4), np.float32)
    new = np.ones((1200, 1000, 4), np.float32)
    picture = shown_at_once(old)
    before = list(picture._shown)
    picture.take(new)
    drawings = 0
    while picture.is_coming:
        assert picture._shown == before
        picture.advance(most_s=0.0)
        drawings += 1
    assert drawings == len(bands_of(1000, 1200)) > 3
    assert (drawn(picture, 10, 12) == 1).all()


def test_a_newer_picture_takes_the_place_of_one_that_has_not_come_whole() -> None:
    picture = ViewportPicture()
    picture.take(np.zeros((1200, 1000, 4), np.float32))
    picture.advance(most_s=0.0)
    assert picture.is_coming
    assert not picture.is_there
    picture.take(np.full((2, 3, 4), 0.5, np.float32))
    picture.advance(most_s=0.0)
    assert not picture.is_coming
    assert (drawn(picture, 3, 2) == 0.5).all()
