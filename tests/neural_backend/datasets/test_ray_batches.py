# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neural_backend.datasets.capture import Capture
from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches, camera_rays
from neural_backend.geometry.cameras import project
from tests.neural_backend.datasets.small_captures import (
    HEIGHT,
    WIDTH,
    transforms_values,
    write_picture,
    write_small_capture,
)


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    """Nine views of three lenses, one of them distorted; the pictures of two are larger."""
    values = transforms_values()
    values["frames"][4] |= {"fl_x": 50.0, "k1": 0.1, "p1": 0.01}
    values["frames"][7] |= {"fl_x": 50.0, "k1": 0.1, "p1": 0.01}
    write_small_capture(tmp_path, values)
    for index in (2, 7):
        write_picture(tmp_path / "images" / f"view_{index}.png", size=(48, 32), seed=index)
    return load_capture(tmp_path)


def test_every_pixel_is_a_ray_that_its_own_camera_sees_there(capture: Capture) -> None:
    loaded = load_images(capture)
    batches = RayBatches(loaded)
    batch = batches.rays(torch.arange(batches.num_pixels))
    assert batches.num_views == 9
    start = 0
    for index, view in enumerate(loaded.views):
        lens, pose = view.intrinsics, view.camera_to_world
        part = slice(start, start + lens.width * lens.height)
        start = part.stop
        assert batches.pixel_offsets[index] == part.start
        assert (batch.rays.views[part] == index).all()
        np.testing.assert_allclose(
            batch.rays.origins[part], np.tile(pose[:3, 3], (lens.width * lens.height, 1)), atol=1e-6
        )
        in_camera = batch.rays.directions[part].double().numpy() @ pose[:3, :3]
        x, y = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
        expected = np.stack([x, y], axis=-1).reshape(-1, 2)
        np.testing.assert_allclose(project(lens, in_camera), expected, atol=1e-3)
        expected = loaded.image(index).reshape(-1, 4) / 255
        np.testing.assert_allclose(batch.rgba[part], expected, atol=1e-6)
    assert start == batches.num_pixels
    assert batch.rays.times is None
    torch.testing.assert_close(batch.rays.directions.norm(dim=-1), torch.ones(start))


def test_lenses_are_stored_once_each(capture: Capture) -> None:
    batches = RayBatches(load_images(capture))
    assert len({view.intrinsics for view in batches.views}) == 4
    assert len(batches.lens_directions) == 2 * WIDTH * HEIGHT + 2 * 48 * 32


def test_all_rays_of_a_view_are_those_of_its_camera_anew(capture: Capture) -> None:
    batches = RayBatches(load_images(capture))
    for index in (1, 7):
        view = batches.views[index]
        again = camera_rays(view.intrinsics, view.camera_to_world, time=0.25, view=index)
        rays = batches.view_rays(index)
        torch.testing.assert_close(rays.directions, again.directions)
        torch.testing.assert_close(rays.origins, again.origins)
        torch.testing.assert_close(rays.views, again.views)
        assert (again.times == 0.25).all()
        assert batches.view_image(index).shape == (view.intrinsics.height, view.intrinsics.width, 4)


def test_draws_repeat_with_the_seed_and_cover_all_views(capture: Capture) -> None:
    batches = RayBatches(load_images(capture))
    first, second = (batches.draw(4096, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(first.rays.directions, second.rays.directions, rtol=0, atol=0)
    torch.testing.assert_close(first.rgba, second.rgba, rtol=0, atol=0)
    share = torch.bincount(first.rays.views, minlength=9) / 4096
    torch.testing.assert_close(
        share, batches.pixel_offsets.diff() / batches.num_pixels, rtol=0.25, atol=0
    )


def test_draws_keep_to_the_candidates(capture: Capture) -> None:
    batches = RayBatches(load_images(capture))
    batches.candidates = torch.arange(10, 13)
    seen = {tuple(one.tolist()) for one in batches.draw(200, torch.Generator()).rays.directions}
    assert seen == {tuple(one.tolist()) for one in batches.view_rays(0).directions[10:13]}


def test_ignored_pixels_are_never_drawn(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["mask_path"] = f"masks/view_{index}.png"
        write_picture(tmp_path / frame["mask_path"])
    loaded = load_images(load_capture(write_small_capture(tmp_path, values, alpha=False)))
    assert loaded.ignored is not None
    batches = RayBatches(loaded)
    assert batches.candidates is not None
    assert len(batches.candidates) == (~loaded.ignored).sum()
    assert not loaded.ignored[batches.candidates.numpy()].any()
    assert batches.num_pixels == 9 * WIDTH * HEIGHT


def test_rays_carry_the_time_of_their_view(capture: Capture) -> None:
    timed = replace(
        capture,
        views=tuple(replace(view, time=index / 8) for index, view in enumerate(capture.views)),
    )
    rays = RayBatches(load_images(timed)).draw(100, torch.Generator()).rays
    torch.testing.assert_close(rays.times, rays.views / 8)


def test_real_cameras_look_at_a_common_middle(shared_data: Path) -> None:
    loaded = load_images(load_capture(shared_data / "lego_400").split("test"), image_width=50)
    batches = RayBatches(loaded)
    for index in range(batches.num_views):
        rays = batches.view_rays(index)
        nearest = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1).reshape(50, 50)
        assert nearest.argmin() in (24 * 50 + 24, 24 * 50 + 25, 25 * 50 + 24, 25 * 50 + 25)
        assert nearest.min() < 0.1
