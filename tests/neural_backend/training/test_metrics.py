# SPDX-License-Identifier: GPL-3.0-or-later
import math
import sys
import types

import numpy as np
import pytest
import torch

from neural_backend.training import metrics
from neural_backend.training.metrics import psnr, ssim


def slow_ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """The definition, window by window."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    scores = []
    height, width, channels = image.shape
    for row in range(height - 10):
        for column in range(width - 10):
            for channel in range(channels):
                a = image[row : row + 11, column : column + 11, channel]
                b = truth[row : row + 11, column : column + 11, channel]
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                variance_a = (window * (a - mean_a) ** 2).sum()
                variance_b = (window * (b - mean_b) ** 2).sum()
                covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                scores.append(
                    (2 * mean_a * mean_b + 1e-4)
                    * (2 * covariance + 9e-4)
                    / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4))
                )
    return float(np.mean(scores))


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.random((17, 21, 3))
    return np.clip(truth + random.normal(0, 0.2, truth.shape), 0, 1), truth


def test_ssim_is_that_of_its_definition(images):
    assert ssim(*images) == pytest.approx(slow_ssim(*images), abs=1e-9)


def test_ssim_of_equal_images_is_one_and_of_a_negative_is_low(images):
    _, truth = images
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert ssim(1 - truth, truth) < 0


def test_ssim_works_on_images_smaller_than_its_window():
    image = np.random.default_rng(0).random((6, 30, 3))
    assert ssim(image, image) == pytest.approx(1.0)


def test_psnr_of_a_known_offset():
    truth = np.full((5, 4, 3), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0)
    assert psnr(truth, truth) == metrics.PSNR_OF_EQUAL_IMAGES


def test_pixels_that_are_to_be_ignored_do_not_count(images):
    image, truth = images
    valid = np.zeros(truth.shape[:2], dtype=bool)
    valid[:, :10] = True
    spoiled = image.copy()
    spoiled[:, 10:] = 0
    score = psnr(image[:, :10], truth[:, :10])
    assert psnr(spoiled, truth, valid) == psnr(image, truth, valid) == score
    assert math.isnan(psnr(image, truth, np.zeros_like(valid)))
    assert math.isnan(ssim(image, truth, np.zeros_like(valid)))


def test_images_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) and \(4, 5, 3\)"):
        psnr(np.zeros((4, 4, 3)), np.zeros((4, 5, 3)))


def test_lpips_needs_its_package_and_its_weights(monkeypatch, tmp_path):
    """With a stand-in for the package: nothing may be used that would have to be fetched."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(importlib_util := metrics.importlib.util, "find_spec", lambda name: None)
    assert metrics.load_lpips(torch.device("cpu")) is None

    monkeypatch.setattr(importlib_util, "find_spec", lambda name: name)
    assert metrics.load_lpips(torch.device("cpu")) is None

    class Distance(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()

        def forward(self, a, b):
            assert a.shape == (1, 3, 4, 6)
            assert a.max() <= 1
            return (a - b).abs().mean()

    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=Distance))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg16-0.pth").touch()
    distance = metrics.load_lpips(torch.device("cpu"))
    assert distance(np.ones((4, 6, 3)), np.zeros((4, 6, 3))) == pytest.approx(2.0)
