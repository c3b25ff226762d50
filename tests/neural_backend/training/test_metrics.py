# SPDX-License-Identifier: GPL-3.0-or-later
import math
import sys
import types

import numpy as np
import pytest
import torch

from neural_backend.training import metrics
from neural_backend.training.metrics import compare_points, psnr, sample_surface, ssim


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


def test_moving_a_plane_gives_that_chamfer_distance():
    random = np.random.default_rng(1)
    plane = np.concatenate([random.random((4000, 2)), np.zeros((4000, 1))], axis=1)
    offset = np.array([0, 0, 0.3])
    scores = compare_points(plane + offset, plane, threshold=0.2)
    assert scores.chamfer == pytest.approx(0.3)
    assert scores.f_score == 0.0
    assert compare_points(plane + offset, plane, threshold=0.31).f_score == 1.0


def test_a_missing_half_costs_recall_and_not_precision():
    line = np.stack([np.linspace(0, 1, 1001), np.zeros(1001), np.zeros(1001)], axis=1)
    scores = compare_points(line[:501], line, threshold=0.01)
    assert scores.precision == 1.0
    assert scores.recall == pytest.approx(0.51, abs=0.002)
    assert scores.accuracy == 0.0
    assert scores.completeness == pytest.approx(0.125, abs=0.002)


def test_surface_samples_are_spread_by_area_and_repeat_with_their_seed():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 2, 5]], float)
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    points = sample_surface(vertices, faces, 20000, seed=5)
    on_large = points[:, 2] == 0
    assert on_large.mean() == pytest.approx(0.75, abs=0.02)
    large = points[on_large]
    np.testing.assert_allclose(large.mean(axis=0), [1, 2 / 3, 0], atol=0.03)
    assert (large[:, 0] / 3 + large[:, 1] / 2 <= 1 + 1e-9).all()
    np.testing.assert_array_equal(points, sample_surface(vertices, faces, 20000, seed=5))


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="without any"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 10)


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
