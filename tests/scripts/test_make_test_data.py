# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import torch
from PIL import Image

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from scripts.make_test_data import GLOSSY_BOUNDS, GLOSSY_SCENE, make_glossy_scene, shade


def test_a_glossy_capture_is_read_with_every_fifth_view_for_testing(tmp_path) -> None:
    capture = load_capture(make_glossy_scene(tmp_path, size=12, num_views=10))
    assert [len(capture.split(name).views) for name in ("train", "test")] == [8, 2]
    assert not capture.unbounded
    assert not capture.warnings


def test_the_rays_that_are_read_back_see_the_pictures(tmp_path) -> None:
    """Tracing one ray a pixel gives nearly its color: mean over pixels, so that edges even out."""
    capture = load_capture(make_glossy_scene(tmp_path, size=48, num_views=5)).split("train")
    batches = RayBatches(load_images(capture))
    batch = batches.rays(torch.arange(batches.num_pixels))
    origins, directions = (
        tensor.double().numpy() for tensor in (batch.rays.origins, batch.rays.directions)
    )
    rgb, hit = shade(GLOSSY_SCENE, origins, directions)
    error = np.abs(rgb * hit[:, None] - (batch.rgba[:, :3] * batch.rgba[:, 3:]).numpy())
    assert np.median(error[hit > 0]) < 0.012
    assert (hit == batch.rgba[:, 3].numpy().round()).mean() > 0.99


def test_the_scene_lies_in_its_bounds_and_shines_differently_from_each_side() -> None:
    lower, upper = np.array(GLOSSY_BOUNDS)
    ball = GLOSSY_SCENE[2]
    top = np.array(ball.center) + np.array([0, 0, ball.radius])
    eyes = np.array([[3.0, 0, 2], [-3, 0, 2], [0, 3, 2], [0, -3, 2]])
    directions = (top - eyes) / np.linalg.norm(top - eyes, axis=-1, keepdims=True)
    rgb, hit = shade(GLOSSY_SCENE, eyes, directions)
    assert hit.all()
    assert rgb.std(axis=0).max() > 0.1
    random = np.random.default_rng(0).standard_normal((4000, 3))
    random /= np.linalg.norm(random, axis=-1, keepdims=True)
    assert (top >= lower).all()
    assert (top <= upper).all()
    for outside in (np.array([0, 0, upper[2]]), np.array([upper[0], 0, 0])):
        leaving = random[(random @ (outside / np.abs(outside).max())) > 0]
        assert not shade(GLOSSY_SCENE, np.broadcast_to(outside, leaving.shape), leaving)[1].any()


def test_pictures_have_straight_alpha(tmp_path) -> None:
    """Along edges the color is that of the object alone, not darkened by the empty part."""
    folder = make_glossy_scene(tmp_path, size=24, num_views=5)
    image = np.asarray(Image.open(folder / "train" / "r_0.png")).astype(float)
    edge = (image[..., 3] > 0) & (image[..., 3] < 128)
    inside = image[..., 3] == 255
    assert edge.sum() > 10
    assert image[edge][:, :3].mean() > 0.5 * image[inside][:, :3].mean()
