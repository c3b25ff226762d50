# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from neural_backend.datasets.picture_quality import (
    PictureQuality,
    blur_of,
    blurred,
    brightness_of,
    exposure_jumps,
    picture_quality,
)


def texture(seed: int = 0, size: int = 96) -> np.ndarray:
    noise = np.random.default_rng(seed).random((size, size))
    coarse = gaussian_filter(noise, 4)
    detail = gaussian_filter(noise, 0.7)
    mixed = 4 * (coarse - coarse.mean()) + (detail - detail.mean())
    return np.clip(0.5 + mixed, 0, 1)


def quality(blur: float = 0.3, brightness: float = -2.0) -> PictureQuality:
    return PictureQuality(8, 8, blur, brightness, False)


def slow_blur(gray: np.ndarray) -> float:
    """The paper's equations, a pixel at a time."""
    height, width = gray.shape
    shares = []
    for turned in (gray, gray.T):
        rows, columns = turned.shape
        smooth = np.empty_like(turned)
        for i in range(rows):
            for j in range(columns):
                around = [min(max(i + k, -i - k - 1), 2 * rows - 1 - i - k) for k in range(-4, 5)]
                smooth[i, j] = np.mean([turned[k, j] for k in around])
        total = lost = 0.0
        for i in range(1, rows):
            for j in range(columns):
                step = abs(turned[i, j] - turned[i - 1, j])
                total += step
                lost += max(0.0, step - abs(smooth[i, j] - smooth[i - 1, j]))
        shares.append((total - lost) / total)
    assert height
    assert width
    return max(shares)


def test_blur_is_that_of_the_papers_equations_a_pixel_at_a_time() -> None:
    picture = texture(size=20)
    assert blur_of(picture) == pytest.approx(slow_blur(picture), rel=1e-9)


def test_blur_grows_with_every_blur_of_the_picture_and_stays_between_0_and_1() -> None:
    picture = texture()
    widths = [0.0, 0.5, 1.0, 2.0, 4.0]
    found = [blur_of(gaussian_filter(picture, width)) for width in widths]
    assert found == sorted(found)
    assert 0 < found[0] < 0.4
    assert 0.6 < found[-1] < 1
    assert blur_of(uniform_filter1d(picture, 15, 1)) > found[0] + 0.2  # shaken sideways only


def test_a_picture_without_edges_says_nothing_of_blur() -> None:
    assert blur_of(np.full((16, 16), 0.5)) == 0.0


def test_the_outline_of_a_cut_out_does_not_make_a_blurred_picture_sharp(tmp_path: Path) -> None:
    soft = gaussian_filter(texture(), 3)
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[..., :3] = (soft[..., None] * 255).astype(np.uint8)
    rgba[24:72, 24:72, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    inside = blur_of(soft[28:68, 28:68])
    assert picture_quality(tmp_path / "cut.png").blur == pytest.approx(inside, abs=0.05)


def test_brightness_is_in_stops_of_light_and_of_what_is_opaque_alone() -> None:
    white = np.full((4, 4, 4), 255, np.uint8)
    assert brightness_of(white) == pytest.approx(0.0)
    half = white.copy()
    half[..., :3] = 188  # half the light, in sRGB
    assert brightness_of(half) == pytest.approx(-1.0, abs=0.02)
    half[:, 2:] = (0, 0, 0, 0)
    assert brightness_of(half) == pytest.approx(-1.0, abs=0.02)
    assert np.isnan(brightness_of(np.zeros((4, 4, 4), np.uint8)))


def test_odd_pictures_stand_out_and_a_slow_change_does_not() -> None:
    many = [quality(blur=0.3 + 0.002 * number) for number in range(10)]
    assert not blurred(many).any()
    assert blurred([*many, quality(blur=0.5)]).tolist() == [False] * 10 + [True]
    assert blurred([quality(blur=0.8)] * 6).all()
    dusk = [quality(brightness=-1 - 0.15 * number) for number in range(12)]
    assert not exposure_jumps(dusk).any()
    dusk[5] = quality(brightness=-3.0)
    assert exposure_jumps(dusk).nonzero()[0].tolist() == [5]
    assert not exposure_jumps([quality(brightness=float("nan"))] * 6).any()
