# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.networks.mlp import MLP, linear


def test_the_input_joins_the_activations_of_the_layer_named() -> None:
    mlp = MLP(3, width=16, depth=8, skip_after=5)
    assert [layer.in_features for layer in mlp.layers] == [3, 16, 16, 16, 16, 19, 16, 16]


def test_the_skip_brings_the_input_past_layers_that_are_dead() -> None:
    mlp = MLP(2, width=4, depth=3, skip_after=2)
    with torch.no_grad():
        mlp.layers[0].weight.zero_()
        mlp.layers[2].weight.fill_(1.0)
    # The rows of ones see the input alone.
    assert mlp(torch.tensor([0.5, 0.25])).tolist() == [0.75] * 4


@pytest.mark.parametrize("skip_after", [0, 4])
def test_a_skip_that_no_layer_follows_is_refused(skip_after: int) -> None:
    with pytest.raises(ValueError, match="skip_after"):
        MLP(3, width=8, depth=4, skip_after=skip_after)


def test_weights_are_glorots_and_come_from_the_generator() -> None:
    first, again = (linear(64, 32, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.weight, again.weight)
    bound = math.sqrt(6 / (64 + 32))
    assert 0.95 * bound < float(first.weight.detach().abs().max()) <= bound
    assert not first.bias.any()
