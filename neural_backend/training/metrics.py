# SPDX-License-Identifier: GPL-3.0-or-later
"""How close a picture is to the truth."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

PSNR_OF_EQUAL_IMAGES = 100.0
"""Decibels given to images without any difference, so that means stay finite."""

_WINDOW = 11
_SIGMA = 1.5


def psnr(
    image: NDArray[np.floating],
    truth: NDArray[np.floating],
    valid: NDArray[np.bool_] | None = None,
) -> float:
    """Peak signal-to-noise ratio in decibels of images in [0, 1], shape (height, width, channels).

    Only pixels where `valid` (height, width) is true count; NaN where there is none.
    """
    _check_same_shape(image, truth)
    error = (image.astype(np.float64) - truth) ** 2
    if valid is not None:
        error = error[valid]
    if not error.size:
        return float("nan")
    return float(-10.0 * np.log10(max(error.mean(), 10.0 ** (-PSNR_OF_EQUAL_IMAGES / 10.0))))


def ssim(
    image: NDArray[np.floating],
    truth: NDArray[np.floating],
    valid: NDArray[np.bool_] | None = None,
) -> float:
    """Structural similarity of images in [0, 1], shape (height, width, channels); 1 where equal.

    The mean over channels and over the windows that lie within the image; a side shorter than the
    window is mirrored instead. Only windows centred where `valid` is true count; NaN where there
    is none.

    Source: Wang et al. 2004, "Image Quality Assessment", sec. III: 11 × 11 Gaussian window of
    sigma 1.5, K1 = 0.01, K2 = 0.03.
    """
    _check_same_shape(image, truth)
    image, truth = image.astype(np.float64), truth.astype(np.float64)
    stability_mean, stability_variance = 0.01**2, 0.03**2
    mean_image, mean_truth = _blur(image), _blur(truth)
    variance_image = _blur(image * image) - mean_image**2
    variance_truth = _blur(truth * truth) - mean_truth**2
    covariance = _blur(image * truth) - mean_image * mean_truth
    similarity = (
        (2 * mean_image * mean_truth + stability_mean) * (2 * covariance + stability_variance)
    ) / (
        (mean_image**2 + mean_truth**2 + stability_mean)
        * (variance_image + variance_truth + stability_variance)
    )
    margin = _WINDOW // 2
    whole = tuple(
        slice(margin, side - margin) if side >= _WINDOW else slice(None)
        for side in similarity.shape[:2]
    )
    similarity = similarity[whole]
    if valid is not None:
        similarity = similarity[valid[whole]]
    return float(similarity.mean()) if similarity.size else float("nan")


def load_lpips(device: torch.device) -> Callable[[NDArray, NDArray], float] | None:
    """A function (image, truth) → LPIPS distance, None where its package or weights are missing.

    Nothing is ever downloaded: the VGG weights must already lie in torch's hub folder.

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric".
    """
    if not all(importlib.util.find_spec(name) for name in ("lpips", "torchvision")):
        return None
    if not any((Path(torch.hub.get_dir()) / "checkpoints").glob("vgg16-*.pth")):
        return None
    model = importlib.import_module("lpips").LPIPS(net="vgg", verbose=False).to(device).eval()

    def distance(image: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
        pair = torch.as_tensor(np.stack([image, truth]), dtype=torch.float32, device=device)
        pair = pair.permute(0, 3, 1, 2) * 2 - 1
        with torch.no_grad():
            return float(model(pair[:1], pair[1:]))

    return distance


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window /= window.sum()
    return correlate1d(correlate1d(image, window, axis=0, mode="reflect"), window, axis=1)


def _check_same_shape(image: NDArray[np.floating], truth: NDArray[np.floating]) -> None:
    if image.shape != truth.shape or image.ndim != 3:
        raise ValueError(
            f"expected two images (height, width, channels) of one shape, "
            f"got {image.shape} and {truth.shape}"
        )
