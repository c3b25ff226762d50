# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import torch

from neural_backend.datasets.capture import View
from neural_backend.datasets.images import LoadedViews
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.datasets.silhouettes import pixels_near_silhouettes, silhouettes
from neural_backend.geometry.cameras import Intrinsics

SIZES = [(30, 50), (80, 40)]


def batches_of(alphas: list[np.ndarray]) -> RayBatches:
    views = tuple(
        View(
            name=str(i),
            intrinsics=Intrinsics(
                width=w, height=h, focal_x_px=w, focal_y_px=w, center_x_px=w / 2, center_y_px=h / 2
            ),
            camera_to_world=np.eye(4),
        )
        for i, (h, w) in enumerate(alpha.shape for alpha in alphas)
    )
    pixels = np.zeros((sum(alpha.size for alpha in alphas), 4), dtype=np.uint8)
    pixels[:, 3] = np.concatenate([alpha.reshape(-1) for alpha in alphas])
    offsets = np.cumsum([0, *(alpha.size for alpha in alphas)])
    return RayBatches(LoadedViews(views=views, pixels=pixels, offsets=offsets))


def test_silhouettes_have_the_pictures_shapes_and_faint_pixels_count() -> None:
    generator = np.random.default_rng(0)
    alphas = [(generator.random(size) < 0.3).astype(np.uint8) for size in SIZES]
    for shown, alpha in zip(silhouettes(batches_of(alphas)), alphas, strict=True):
        assert (shown == (alpha > 0)).all()


def test_pixels_on_and_beside_a_silhouette_are_chosen_and_far_ones_left_out() -> None:
    alphas = [np.zeros(size, dtype=np.uint8) for size in SIZES]
    alphas[1][60:70, 10:20] = 255
    chosen = pixels_near_silhouettes(batches_of(alphas))
    picture = torch.zeros(30 * 50 + 80 * 40, dtype=torch.bool)
    picture[chosen] = True
    assert not picture[: 30 * 50].any()
    second = picture[30 * 50 :].reshape(80, 40)
    assert second[58:72, 8:22].all()
    assert not second[:50].any()


def test_pixels_that_are_to_be_ignored_stay_left_out() -> None:
    batches = batches_of([np.full(size, 255, dtype=np.uint8) for size in SIZES])
    batches.candidates = torch.arange(100, 200)
    assert torch.equal(pixels_near_silhouettes(batches), torch.arange(100, 200))
