# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.geometry.boxes import inside_box, intersect_box
from tests.reference import intersect_box_ray, unit_vectors

BOUNDS = torch.tensor([[-1.0, -0.5, 0.25], [2.0, 0.5, 0.75]], dtype=torch.float64)


def test_random_rays_meet_a_box_where_the_slow_loop_says() -> None:
    directions = torch.from_numpy(unit_vectors(500))
    origins = 3 * torch.from_numpy(unit_vectors(500, seed=1))
    near, far = intersect_box(origins, directions, BOUNDS)
    truth = [
        intersect_box_ray(origin.tolist(), direction.tolist(), BOUNDS.tolist())
        for origin, direction in zip(origins, directions, strict=True)
    ]
    assert 5 < sum(end > 0 for _, end in truth) < 495
    torch.testing.assert_close(torch.stack([near, far], dim=-1), torch.tensor(truth).double())


def test_a_ray_from_inside_starts_at_its_origin() -> None:
    near, far = intersect_box(
        torch.tensor([[0.0, 0.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]]), BOUNDS.float()
    )
    assert (float(near), float(far)) == (0.0, 2.0)


def test_a_box_behind_the_camera_is_missed() -> None:
    near, far = intersect_box(
        torch.tensor([[5.0, 0.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]]), BOUNDS.float()
    )
    assert (float(near), float(far)) == (0.0, 0.0)


@pytest.mark.parametrize("slope", [0.0, -0.0])
@pytest.mark.parametrize("height", [0.5, 0.25, 0.75, 9.0])
def test_rays_parallel_to_a_face_or_in_it_give_finite_numbers(slope: float, height: float) -> None:
    near, far = intersect_box(
        torch.tensor([[-3.0, 0.0, height]]), torch.tensor([[1.0, 0.0, slope]]), BOUNDS.float()
    )
    assert near.isfinite().all()
    assert far.isfinite().all()
    if height == 0.5:
        assert (float(near), float(far)) == (2.0, 5.0)
    else:
        assert float(far) == 0.0


def test_faces_belong_to_the_box() -> None:
    points = torch.tensor([[2.0, 0.5, 0.75], [2.001, 0.5, 0.75], [0.0, 0.0, 0.2]])
    assert inside_box(points, BOUNDS.float()).tolist() == [True, False, False]
