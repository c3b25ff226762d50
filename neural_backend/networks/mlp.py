# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain stacks of linear layers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """`depth` linear layers of `width` channels, each followed by a ReLU.

    With `skip_after`, the input joins the activations of that layer (counted from 1), and the next
    layer takes both. The weights are Glorot's, the biases zero.

    Raises:
        ValueError: if no layer follows the one that the input joins.
    """

    def __init__(
        self,
        in_dim: int,
        width: int,
        depth: int,
        skip_after: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if skip_after is not None and not 1 <= skip_after < depth:
            raise ValueError(f"skip_after must be in 1 … {depth - 1}, got {skip_after}")
        self.skip_after = skip_after
        in_dims = [in_dim] + [width] * (depth - 1)
        if skip_after is not None:
            in_dims[skip_after] += in_dim
        self.layers = nn.ModuleList(linear(dim, width, generator) for dim in in_dims)

    def forward(self, inputs: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch width"]:
        hidden = inputs
        for number, layer in enumerate(self.layers):
            if number == self.skip_after:
                hidden = torch.cat([inputs.to(hidden.dtype), hidden], dim=-1)
            hidden = F.relu(layer(hidden))
        return hidden


def linear(in_dim: int, out_dim: int, generator: torch.Generator | None = None) -> nn.Linear:
    """A linear layer with Glorot's uniform weights from `generator` and zero biases.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward
        neural networks", eq. 16; the default of the framework NeRF was written in.
    """
    layer = nn.utils.skip_init(nn.Linear, in_dim, out_dim)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
