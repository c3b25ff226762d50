# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.fields.nerfies import SE3Warp
from neural_backend.geometry.jacobians import jacobians
from neural_backend.geometry.rigid_motion import move_by_twist
from neural_backend.training.deformation_losses import elastic_energy

BOUNDS = torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 1.0]])


def make_warp(trained: bool = True, alpha: float = 3.0, **changes) -> SE3Warp:
    settings = {"width": 16, "depth": 4, "num_frequencies": 3, "code_dim": 5}
    generator = torch.Generator().manual_seed(0)
    warp = SE3Warp(BOUNDS, generator=generator, **{**settings, **changes})
    if trained:
        for layer in (warp.to_rotation, warp.to_velocity):
            torch.nn.init.normal_(layer.weight, std=0.3, generator=generator)
    warp.alpha.fill_(alpha)
    return warp


def test_the_default_is_the_papers_network() -> None:
    """Six layers of 128, a skip to the fifth; 6 frequencies, codes of 8."""
    warp = SE3Warp(BOUNDS)
    inputs = 39 + 8
    assert [tuple(layer.weight.shape) for layer in warp.trunk.layers] == [
        (128, inputs), (128, 128), (128, 128), (128, 128), (128, 128 + inputs), (128, 128),
    ]  # fmt: skip


def test_before_training_nothing_moves_under_any_code() -> None:
    points = 3 * torch.randn(20, 3)
    assert torch.equal(make_warp(trained=False)(points, torch.randn(20, 5)), points)


def test_a_twist_that_is_everywhere_the_same_is_a_rigid_motion_in_half_sides() -> None:
    warp = make_warp(trained=False)
    rotation, velocity = torch.tensor([0.3, -1.0, 0.5]), torch.tensor([0.2, 0.1, -0.4])
    with torch.no_grad():
        warp.to_rotation.bias.copy_(rotation)
        warp.to_velocity.bias.copy_(velocity)
    points, codes = torch.randn(20, 3), torch.randn(20, 5)
    center = BOUNDS.mean(dim=0)
    expected = center + 2 * move_by_twist((points - center) / 2, rotation, velocity)
    torch.testing.assert_close(warp(points, codes), expected)
    energy = elastic_energy(jacobians(lambda at: warp(at, codes), points))
    torch.testing.assert_close(energy, torch.zeros(20), atol=1e-10, rtol=0)


def test_without_alpha_the_network_sees_no_waves() -> None:
    """Then it is linear in pieces: along a short line the twist hardly bends."""
    warp, codes = make_warp(alpha=0.0), torch.zeros(1, 5)
    encoded = warp.encode_points(torch.rand(4, 3), torch.zeros(3))
    assert not encoded[:, 3:].any()
    point = torch.tensor([[0.2, 0.4, 0.6]])
    coarse = warp(point, codes)
    warp.alpha.fill_(3.0)
    assert (warp(point, codes) - coarse).norm() > 1e-3


def test_alpha_is_kept_with_the_weights() -> None:
    """A field that is loaded would otherwise bend rays otherwise."""
    warp, loaded = make_warp(alpha=1.5), make_warp(alpha=0.0)
    loaded.load_state_dict(warp.state_dict())
    points, codes = torch.randn(8, 3), torch.randn(8, 5)
    assert torch.equal(loaded(points, codes), warp(points, codes))


def test_each_ray_may_have_a_code_of_its_own() -> None:
    warp, points, codes = make_warp(), torch.randn(4, 7, 3), torch.randn(4, 5)
    together = warp(points, codes[:, None])
    for ray in range(4):
        torch.testing.assert_close(together[ray], warp(points[ray], codes[ray].expand(7, 5)))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("unbounded", [False, True])
def test_gradients_are_those_of_finite_differences(unbounded: bool, trained: bool) -> None:
    warp = make_warp(unbounded=unbounded, trained=trained).double()
    points = (1.7 * torch.randn(3, 3, dtype=torch.float64)).requires_grad_()
    codes = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(warp, (points, codes))


def test_learning_begins_although_nothing_moves_yet() -> None:
    warp = make_warp(trained=False)
    warp(torch.randn(20, 3), torch.randn(20, 5)).square().sum().backward()
    for layer in (warp.to_rotation, warp.to_velocity):
        assert layer.weight.grad.isfinite().all()
        assert layer.weight.grad.any()


def test_far_points_and_huge_codes_give_finite_gradients() -> None:
    warp = make_warp(unbounded=True)
    points = torch.tensor([[1e6, -1e6, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    warp(points, 1e3 * torch.randn(2, 5)).sum().backward()
    for tensor in (points, *warp.parameters()):
        assert tensor.grad.isfinite().all()


def test_too_few_layers_for_the_skip_are_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        make_warp(depth=2)
