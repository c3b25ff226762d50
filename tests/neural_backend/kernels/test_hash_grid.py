# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.kernels import hash_grid_reference
from neural_backend.kernels.hash_grid import hash_encode, hash_grid_layout

LAYOUTS = {
    "4 features": hash_grid_layout(5, 4, 10, 3, 60),
    "2 features": hash_grid_layout(7, 2, 9, 2, 200),
    "one level": hash_grid_layout(1, 4, 6, 3, 3),
}
CASES = [("numba", 0), ("numba", 1), ("numba", 63), ("numba", 5000), ("triton", 0), ("triton", 300)]
"""Twins and numbers of points."""


def reference(points, table, layout):
    return hash_grid_reference.encode(points, table, layout.resolutions, layout.offsets)


def random_table(layout, generator) -> torch.Tensor:
    return torch.randn(layout.offsets[-1], layout.features_per_level, generator=generator)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(("twin", "count"), CASES)
def test_the_kernels_equal_their_twin_forward_and_backward(name, count, device):
    layout, generator = LAYOUTS[name], torch.Generator().manual_seed(count)
    points = torch.rand(count, 3, generator=generator).to(device)
    slope = torch.randn(count, layout.num_features, generator=generator).to(device)
    table = random_table(layout, generator).to(device).requires_grad_()
    exact = table.detach().double().requires_grad_()
    features = hash_encode(points, table, layout)
    expected = reference(points.double(), exact, layout)
    torch.testing.assert_close(features.double(), expected, atol=1e-4, rtol=1e-4)
    features.backward(slope)
    expected.backward(slope.double())
    torch.testing.assert_close(table.grad.double(), exact.grad, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(("twin", "count"), CASES)
def test_points_get_the_gradient_that_the_twin_gives_them(name, count, device):
    layout, generator = LAYOUTS[name], torch.Generator().manual_seed(count)
    # Some lie outside, where the border is seen along one axis or more.
    points = (torch.rand(count, 3, generator=generator) * 1.4 - 0.2).to(device).requires_grad_()
    exact = points.detach().double().requires_grad_()
    slope = torch.randn(count, layout.num_features, generator=generator).to(device)
    table = random_table(layout, generator).to(device)
    hash_encode(points, table, layout).backward(slope)
    reference(exact, table.double(), layout).backward(slope.double())
    # At a grid point the slope jumps, and rounding decides on which side a point lies.
    places = exact.detach().cpu()[:, None] * torch.tensor(layout.resolutions)[:, None]
    sure = ((places - places.round()).abs() > 1e-4).all(dim=-1).all(dim=-1)
    assert sure.double().mean() > 0.9 or count < 64
    # Levels cancel each other here and there; what rounding does is as large as they are.
    size = exact.grad.abs() + (exact.grad.abs().mean() if count else 0)
    close = ((points.grad.double() - exact.grad).abs() <= 1e-3 + 1e-3 * size).cpu()
    assert close[sure].all(dim=-1).double().mean() > 0.999 or not count


@pytest.mark.parametrize("name", LAYOUTS)
def test_faces_and_corners_of_the_cube_are_part_of_it_and_points_outside_see_them(name, device):
    layout = LAYOUTS[name]
    table = random_table(layout, torch.Generator().manual_seed(0)).to(device)
    ends = torch.tensor([0.0, 0.5, 1.0], device=device)
    points = torch.cartesian_prod(ends, ends, ends)
    features = hash_encode(points, table, layout)
    expected = reference(points.double(), table.double(), layout)
    torch.testing.assert_close(features.double(), expected, atol=1e-4, rtol=1e-4)
    far = points + 5 * (points - 0.5).sign()
    torch.testing.assert_close(hash_encode(far, table, layout), features)


def test_features_at_grid_points_are_the_entries_themselves(device):
    layout = hash_grid_layout(1, 2, 12, 4, 4)
    table = random_table(layout, torch.Generator().manual_seed(0)).to(device)
    axis = torch.arange(5, device=device) / 4
    z, y, x = (part.flatten() for part in torch.meshgrid(axis, axis, axis, indexing="ij"))
    torch.testing.assert_close(hash_encode(torch.stack([x, y, z], dim=-1), table, layout), table)


def test_a_level_is_dense_as_long_as_it_fits_and_hashed_to_the_given_size_after():
    layout = hash_grid_layout(3, 2, 9, 4, 16)
    assert layout.resolutions == (4, 8, 16)
    assert layout.offsets == (0, 125, 125 + 512, 125 + 1024)


def test_all_points_in_one_cell_add_up_without_loss(device):
    """Every point adds to the same few entries, of which Triton's coarse levels have copies."""
    layout = hash_grid_layout(3, 4, 10, 2, 40)
    points = torch.full((4000, 3), 0.49, device=device)
    table = torch.zeros(layout.offsets[-1], 4, device=device).requires_grad_()
    hash_encode(points, table, layout).backward(torch.ones(4000, 12, device=device))
    per_level = [
        table.grad[first:last].sum().item()
        for first, last in zip(layout.offsets[:-1], layout.offsets[1:], strict=True)
    ]
    assert per_level == pytest.approx([16_000] * 3, rel=1e-3)


def test_triton_reads_tables_of_half_precision(triton):
    from neural_backend.kernels import hash_grid_triton

    layout, generator = LAYOUTS["4 features"], torch.Generator().manual_seed(5)
    points = torch.rand(100, 3, generator=generator).to(triton)
    table = random_table(layout, generator).half().to(triton)
    features = hash_grid_triton.encode(points, table, layout)
    torch.testing.assert_close(
        features.double(), reference(points.double(), table.double(), layout), atol=1e-4, rtol=1e-4
    )


def test_gradients_repeat_bit_for_bit_on_any_number_of_threads(monkeypatch):
    layout, generator = LAYOUTS["4 features"], torch.Generator().manual_seed(0)
    points = torch.rand(20_000, 3, generator=generator)
    slope = torch.randn(20_000, layout.num_features, generator=generator)
    results = []
    for threads in ("1", "2", "1"):
        monkeypatch.setenv("NEURAL_FIELDS_THREADS", threads)
        table = random_table(layout, torch.Generator().manual_seed(1)).requires_grad_()
        hash_encode(points, table, layout).backward(slope)
        results.append(table.grad)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("arguments", [(4, 3, 10, 4, 8), (0, 4, 10, 4, 8), (4, 4, 10, 9, 8)])
def test_impossible_layouts_are_refused(arguments):
    with pytest.raises(ValueError, match=r"expected|must be"):
        hash_grid_layout(*arguments)
