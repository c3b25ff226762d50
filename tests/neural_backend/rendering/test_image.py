# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.datasets.ray_batches import camera_rays
from neural_backend.geometry.rays import Rays, RenderedRays
from neural_backend.rendering import image as image_module
from neural_backend.rendering.image import RenderedImage, render_view
from neural_backend.rendering.normals import normals_at_depth
from tests.analytic import AnalyticConfig, AnalyticMethod
from tests.analytic_run import lens, looking_at_origin


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def rendered(scene: str, pose: np.ndarray, size=(24, 20), normals=False) -> RenderedImage:
    method = AnalyticMethod(AnalyticConfig(scene=scene))
    rays = camera_rays(lens(*size), pose)
    return finish(render_view(method.render_rays, rays, size[::-1], pose, normals))


def test_a_plane_that_faces_the_camera_has_one_depth() -> None:
    """Along the rays the corners are farther away than the centre."""
    pose = np.eye(4)
    pose[2, 3] = 1.7
    image = rendered("floor", pose)
    seen = image.alpha == 1
    assert seen.all()
    np.testing.assert_allclose(image.depth, 1.7, atol=1e-4)
    assert image.rgb.shape == (20, 24, 3)


def test_rows_run_from_top_to_bottom_and_what_is_not_seen_has_no_depth() -> None:
    image = rendered("floor", looking_at_origin((4.0, 0.0, 0.6)))
    assert not image.alpha[0].any()
    assert np.isinf(image.depth[0]).all()
    assert image.alpha[10].any()


def test_normals_are_in_world_space_and_zero_where_nothing_is_seen() -> None:
    pose = looking_at_origin((2.0, -1.0, 1.0))
    image = rendered("sphere", pose, size=(40, 40), normals=True)
    seen = image.alpha > 0
    assert seen.any()
    assert not seen.all()
    np.testing.assert_allclose(np.linalg.norm(image.normals[seen], axis=1), 1, atol=1e-5)
    assert not image.normals[~seen].any()
    middle = image.normals[20, 20]
    np.testing.assert_allclose(middle, pose[:3, 2], atol=0.05)


def test_normals_that_a_method_does_not_give_come_from_its_density() -> None:
    method = AnalyticMethod(AnalyticConfig(peak=300.0, softness=0.01))
    rays = camera_rays(lens(16, 16), looking_at_origin((2.0, 1.0, 0.5)))
    truth = method.render_rays(rays, normals=True)
    found = normals_at_depth(method.density, rays, truth, radius=0.02)
    cosine = (found * truth.normals).sum(dim=-1)
    hit = truth.depth.isfinite()
    assert cosine[hit].min() > 0.98
    assert not found[~hit].any()


def test_a_renderer_without_normals_is_refused_when_asked_for_them() -> None:
    method = AnalyticMethod()
    pose = looking_at_origin((2.0, 1.0, 0.5))
    rays = camera_rays(lens(4, 4), pose)
    steps = render_view(lambda rays, _: method.render_rays(rays), rays, (4, 4), pose, True)
    with pytest.raises(ValueError, match="got none"):
        finish(steps)


def test_tiles_make_the_same_picture_and_tell_how_far_it_is(monkeypatch) -> None:
    monkeypatch.setattr(image_module, "_LARGEST_TILE", 70)
    monkeypatch.setattr(image_module, "_FIRST_TILE", {"cpu": 7})
    sizes = []

    def render(rays: Rays, normals: bool) -> RenderedRays:
        sizes.append(len(rays))
        red = rays.directions[:, :1].expand(-1, 3)
        return RenderedRays(red, torch.ones(len(rays)), torch.ones(len(rays)))

    pose = looking_at_origin((2.0, 1.0, 0.5))
    rays = camera_rays(lens(24, 20), pose)
    steps = render_view(render, rays, (20, 24), pose)
    shares = []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as finished:
            image = finished.value
            break
    assert sizes[0] == 7
    assert max(sizes) == 70
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    truth = rays.directions[:, 0].reshape(20, 24).numpy()
    np.testing.assert_array_equal(image.rgb[..., 0], truth)


def test_alpha_is_straight_in_files_and_backgrounds_shine_through() -> None:
    half = RenderedImage(
        rgb=np.full((1, 1, 3), 0.25, np.float32),
        alpha=np.full((1, 1), 0.5, np.float32),
        depth=np.ones((1, 1), np.float32),
    )
    np.testing.assert_allclose(half.straight_rgba()[0, 0], [0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(half.over(1.0)[0, 0], [0.75] * 3)
    np.testing.assert_allclose(half.over(0.0)[0, 0], [0.25] * 3)
