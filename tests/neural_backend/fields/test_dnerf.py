# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.fields.dnerf import DNeRFWarp

BOUNDS = torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 1.0]])


def make_warp(trained: bool = True, **changes) -> DNeRFWarp:
    settings = {"width": 16, "depth": 4, "position_frequencies": 3, "time_frequencies": 2}
    generator = torch.Generator().manual_seed(0)
    warp = DNeRFWarp(BOUNDS, generator=generator, **{**settings, **changes})
    if trained:
        torch.nn.init.normal_(warp.to_offset.weight, std=0.3, generator=generator)
        torch.nn.init.constant_(warp.to_offset.bias, 0.1)
    return warp


def test_the_default_is_the_papers_network() -> None:
    """Eight layers; 10 frequencies of positions and 4 of time, with both themselves beside."""
    warp = DNeRFWarp(BOUNDS)
    inputs = 63 + 9
    assert [tuple(layer.weight.shape) for layer in warp.trunk.layers] == [
        (256, inputs), (256, 256), (256, 256), (256, 256),
        (256, 256), (256, 256 + inputs), (256, 256), (256, 256),
    ]  # fmt: skip
    assert warp.to_offset.weight.shape == (3, 256)


@pytest.mark.parametrize("unbounded", [False, True])
def test_at_time_0_nothing_moves_whatever_was_learned(unbounded: bool) -> None:
    warp, points = make_warp(unbounded=unbounded), 3 * torch.randn(20, 3)
    assert torch.equal(warp(points, torch.zeros(20, 1)), points)
    assert torch.equal(warp(points, torch.full((20, 1), -0.0)), points)
    moved = warp(points, torch.full((20, 1), 1e-6)) - points
    assert (moved.norm(dim=-1) > 1e-3).all()


def test_before_training_nothing_moves_at_any_time() -> None:
    points = torch.randn(20, 3)
    assert torch.equal(make_warp(trained=False)(points, torch.rand(20, 1)), points)


def test_each_ray_may_have_a_time_of_its_own() -> None:
    warp, points, times = make_warp(), torch.randn(4, 7, 3), torch.tensor([0.0, 0.3, 0.0, 1.0])
    together = warp(points, times[:, None, None])
    for ray, time in enumerate(times):
        alone = warp(points[ray], time.expand(7, 1))
        torch.testing.assert_close(together[ray], alone)


def test_offsets_grow_with_the_scene() -> None:
    """The same network in a scene of twice the size moves everything twice as far."""
    warp, points = make_warp(), torch.randn(20, 3)
    twice = DNeRFWarp(2 * BOUNDS, width=16, depth=4, position_frequencies=3, time_frequencies=2)
    weights = {name: value for name, value in warp.state_dict().items() if "." in name}
    twice.load_state_dict(weights, strict=False)
    times = torch.rand(20, 1)
    torch.testing.assert_close(twice(2 * points, times), 2 * warp(points, times))


@pytest.mark.parametrize("unbounded", [False, True])
def test_gradients_are_those_of_finite_differences(unbounded: bool) -> None:
    warp = make_warp(unbounded=unbounded).double()
    points = (1.7 * torch.randn(3, 3, dtype=torch.float64)).requires_grad_()
    times = torch.tensor([[0.2], [0.9], [0.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda at: warp(at, times), (points,))


def test_time_0_teaches_the_deformation_nothing_and_no_nan() -> None:
    warp = make_warp()
    warp(torch.randn(5, 3), torch.zeros(5, 1)).sum().backward()
    for parameter in warp.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_too_few_layers_for_the_skip_are_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        make_warp(depth=2)
