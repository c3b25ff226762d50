# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.fields.nerf import NeRFField, contract

BOUNDS = torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 1.0]])


def make_field(**changes) -> NeRFField:
    settings = {"width": 16, "depth": 4, "position_frequencies": 3, "direction_frequencies": 2}
    generator = torch.Generator().manual_seed(0)
    return NeRFField(BOUNDS, generator=generator, **{**settings, **changes})


def random_queries(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    points = BOUNDS[0] + torch.rand(count, 3) * (BOUNDS[1] - BOUNDS[0])
    return points, torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)


def test_the_default_is_the_papers_network() -> None:
    """Fig. 7, with the coordinates themselves beside their codes: 63 and 27 inputs."""
    field = NeRFField(BOUNDS)
    assert [tuple(layer.weight.shape) for layer in field.trunk.layers] == [
        (256, 63), (256, 256), (256, 256), (256, 256),
        (256, 256), (256, 319), (256, 256), (256, 256),
    ]  # fmt: skip
    assert field.to_density.weight.shape == (1, 256)
    assert field.to_feature.weight.shape == (256, 256)
    assert field.color_layer.weight.shape == (128, 256 + 27)
    assert field.to_rgb.weight.shape == (3, 128)


def test_density_does_not_depend_on_the_direction_and_color_does() -> None:
    field = make_field()
    points, directions = random_queries()
    density, rgb = field(points, directions)
    other_density, other_rgb = field(points, -directions)
    assert torch.equal(density, other_density)
    torch.testing.assert_close(density, field.density(points))
    assert ((rgb - other_rgb).abs() > 1e-4).any(dim=-1).all()


def test_without_view_dependence_color_is_the_same_from_all_sides() -> None:
    field = make_field(view_dependence=False)
    points, directions = random_queries()
    assert torch.equal(field(points, directions)[1], field(points, -directions)[1])


def test_one_direction_serves_all_samples_of_a_ray() -> None:
    field = make_field()
    points, directions = random_queries(30)
    per_ray = directions[:10, None]
    density, rgb = field(points.reshape(10, 3, 3), per_ray)
    flat = field(points, per_ray.expand(10, 3, 3).reshape(30, 3))
    torch.testing.assert_close(density.flatten(), flat[0])
    torch.testing.assert_close(rgb.flatten(0, 1), flat[1])


@pytest.mark.parametrize(
    ("encoding", "inputs"), [("none", 3), ("positional", 3 + 18), ("fourier", 2 * 40)]
)
def test_each_encoding_feeds_the_trunk(encoding: str, inputs: int) -> None:
    field = make_field(encoding=encoding, fourier_features=40)
    assert field.trunk.layers[0].in_features == inputs
    assert field.encode_directions.out_dim == (3 if encoding == "none" else 15)
    density, rgb = field(*random_queries())
    assert density.isfinite().all()
    assert ((rgb > 0) & (rgb < 1)).all()


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_density_is_not_negative_and_per_scene_unit(activation: str) -> None:
    """The same network over a scene of twice the size is half as dense per unit of length."""
    field, twice = make_field(density_activation=activation), None
    twice = NeRFField(
        2 * BOUNDS, width=16, depth=4, position_frequencies=3, direction_frequencies=2,
        density_activation=activation,
    )  # fmt: skip
    weights = {name: value for name, value in field.state_dict().items() if "." in name}
    twice.load_state_dict(weights, strict=False)
    points, _ = random_queries(256)
    density = field.density(points)
    assert (density >= 0).all()
    assert density.max() > 0
    torch.testing.assert_close(twice.density(2 * points), density / 2)


def test_noise_is_added_before_the_rectifier() -> None:
    field = make_field()
    points, directions = random_queries()
    very_negative = torch.full((64,), -1e3)
    assert not field(points, directions, density_noise=very_negative)[0].any()


@pytest.mark.parametrize("unbounded", [False, True])
def test_gradients_are_those_of_finite_differences(unbounded: bool) -> None:
    field = make_field(density_activation="softplus", unbounded=unbounded).double()
    points, directions = (query[:3].double() for query in random_queries())
    points = (1.7 * points).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: field(x, directions), (points,))


def test_contraction_keeps_the_box_and_draws_all_else_close() -> None:
    inside = 2 * torch.rand(50, 3) - 1
    assert torch.equal(contract(inside), inside)
    far = torch.tensor([[2.0, 1.0, 0.0], [0.0, -1e6, 0.0], [1e30, 1e30, 1e30]])
    expected = torch.tensor([[1.5, 0.75, 0.0], [0.0, -2.0, 0.0], [2.0, 2.0, 2.0]])
    torch.testing.assert_close(contract(far), expected)


def test_too_few_layers_for_the_skip_are_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        make_field(depth=2)
