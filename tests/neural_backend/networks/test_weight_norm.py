# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.networks.weight_norm import WeightNormLinear


def layer(in_dim=5, out_dim=3):
    made = WeightNormLinear(in_dim, out_dim, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        made.length.copy_(torch.tensor([0.5, 2.0, 0.0]))
        made.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    return made


def test_each_output_is_the_length_times_the_inputs_along_the_direction():
    made = layer()
    inputs = torch.randn(2, 4, 5, dtype=torch.float64)
    outputs = made(inputs).detach()
    for group in range(2):
        for row in range(4):
            for out in range(3):
                direction = made.direction[out].tolist()
                norm = sum(value**2 for value in direction) ** 0.5
                along = sum(
                    a * b for a, b in zip(direction, inputs[group, row].tolist(), strict=True)
                )
                length, bias = float(made.length[out].detach()), float(made.bias[out].detach())
                expected = length * along / norm + bias
                assert abs(float(outputs[group, row, out]) - expected) < 1e-12


def test_how_long_the_direction_is_does_not_matter():
    made = layer()
    inputs = torch.randn(1, 7, 5, dtype=torch.float64)
    before = made(inputs)
    with torch.no_grad():
        made.direction.mul_(torch.tensor([[3.0], [1e-3], [1e3]]))
    torch.testing.assert_close(made(inputs), before)


def test_the_gradient_only_turns_the_direction():
    made = layer()
    made(torch.randn(1, 7, 5, dtype=torch.float64)).square().sum().backward()
    along = (made.direction.grad * made.direction).sum(dim=1)
    torch.testing.assert_close(along, torch.zeros(3, dtype=torch.float64))
    assert made.direction.grad[:2].abs().amin() > 0


def test_weights_start_as_drawn():
    made = WeightNormLinear(4, 6)
    torch.testing.assert_close(made.weight, made.direction)


def test_shared_inputs_are_as_if_they_stood_in_every_row():
    made = layer(in_dim=7)
    own = torch.randn(3, 4, 5, dtype=torch.float64)
    shared = torch.randn(3, 1, 2, dtype=torch.float64)
    together = made(torch.cat([own, shared.expand(3, 4, 2)], dim=-1))
    torch.testing.assert_close(made(own, shared), together)
    torch.testing.assert_close(made(own[:1], shared[:1]), together[:1])
