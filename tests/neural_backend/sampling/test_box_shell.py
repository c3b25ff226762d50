# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.sampling.box_shell import sample_box_shell

BOUNDS = torch.tensor([[-1.0, 0.0, 2.0], [3.0, 1.0, 12.0]])


def sizes_of(points: torch.Tensor) -> torch.Tensor:
    """The size of the box, in that of the bounds, on whose faces each point is."""
    half = (BOUNDS[1] - BOUNDS[0]) / 2
    return ((points - BOUNDS.mean(dim=0)) / half).abs().amax(dim=-1)


def test_without_thickness_points_are_on_all_faces_of_the_box() -> None:
    points = sample_box_shell(BOUNDS, 0.0, 600, torch.Generator().manual_seed(0))
    torch.testing.assert_close(sizes_of(points), torch.ones(600))
    for side in (0, 1):
        on_face = (points - BOUNDS[side]).abs() < 1e-5
        assert (on_face.sum(dim=0) > 60).all()


def test_points_fill_the_shell_and_none_is_within() -> None:
    sizes = sizes_of(sample_box_shell(BOUNDS, 1.0, 4000, torch.Generator().manual_seed(0)))
    assert sizes.min() >= 1 - 1e-5
    assert sizes.max() <= 2 + 1e-5
    counts = torch.histc(sizes, bins=4, min=1, max=2)
    assert (counts > 850).all()
