# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.datasets.images import LoadedViews, load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.datasets.silhouettes import silhouettes
from neural_backend.kernels.ray_marching import cell_indices
from neural_backend.methods.moving_hull import moving_hull
from neural_backend.sampling.visual_hull import visual_hull
from tests.moving_capture import RADIUS, center_at, write_moving_capture

RESOLUTION, HALF = 32, 1.2


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> RayBatches:
    folder = tmp_path_factory.mktemp("hull") / "capture"
    return RayBatches(load_images(load_capture(write_moving_capture(folder, num_views=32))))


def hull_of(batches: RayBatches, slices: int, share: float, margin: int = 1) -> torch.Tensor:
    return moving_hull(batches, np.zeros(3), HALF, RESOLUTION, slices, share, margin)


def cells_of_ball(time: float, radius: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    around = torch.nn.functional.normalize(torch.randn(2000, 3, generator=generator), dim=-1)
    points = torch.from_numpy(center_at(time)).float() + radius * around
    return cell_indices(points / HALF, RESOLUTION, 1)


def test_the_thing_is_within_the_hull_of_its_time_and_far_from_elsewhere(batches):
    hull = hull_of(batches, slices=8, share=0.75)
    for part in range(8):
        middle = (part + 0.5) / 8
        assert hull[part, cells_of_ball(middle, 0.98 * RADIUS)].all()
        # Where the cones of three of four pictures cross is a little more than the ball.
        assert hull[part, cells_of_ball(middle, 2.2 * RADIUS)].float().mean() < 0.1
    assert not hull[0, cells_of_ball(1.0, 0.1)].any()
    assert not hull[7, cells_of_ball(0.0, 0.1)].any()


def test_one_slice_that_all_times_may_fill_holds_what_is_swept(batches):
    swept = hull_of(batches, slices=1, share=1e-6)
    for time in (0.0, 0.5, 1.0):
        assert swept[0, cells_of_ball(time, 0.95 * RADIUS)].all()


def test_one_of_many_moments_is_enough_without_a_share(batches):
    assert torch.equal(hull_of(batches, 1, share=0.0), hull_of(batches, 1, share=1e-6))


def test_a_slice_of_which_no_picture_tells_is_left_whole(batches):
    hull = hull_of(batches, slices=64, share=0.0)
    seen = batches.times.unique().mul(64).long().clamp(max=63).unique()
    untold = torch.ones(64, dtype=torch.bool)
    untold[seen] = False
    assert untold.any()
    assert hull[untold].all()
    assert not hull[~untold].all(dim=1).any()


def test_less_is_left_the_more_times_must_agree(batches):
    counts = [int(hull_of(batches, 4, share).sum()) for share in (1e-6, 0.5, 1.0)]
    assert counts[0] > counts[1] > counts[2] > 0


def test_without_times_it_is_the_visual_hull(batches):
    views, pixels = batches.views, batches.pixels.numpy()
    still = RayBatches(
        LoadedViews(views=views, pixels=pixels, offsets=batches.pixel_offsets.numpy())
    )
    still.times = None
    hull = hull_of(still, slices=1, share=0.5, margin=0)
    expected = visual_hull(
        silhouettes(still),
        [view.intrinsics for view in views],
        np.array([view.camera_to_world for view in views]),
        np.array([[-HALF] * 3, [HALF] * 3]),
        RESOLUTION,
    )
    assert torch.equal(hull[0], torch.from_numpy(expected.reshape(-1)))
