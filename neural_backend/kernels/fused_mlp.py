# SPDX-License-Identifier: GPL-3.0-or-later
"""Small networks without biases: plain torch, or Triton where it can run.

A network's matrices lie in one flat vector of weights, so that a step of Adam, and a gradient, are
one piece. On CUDA factors are bfloat16 and sums of single precision; else all is in the precision
of the weights.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .instant_ngp_types import LARGEST_EXPONENT
from .triton_use import uses_triton

MOST_HIDDEN_LAYERS = 3
"""Triton's kernel holds the sums for no more than these."""
WIDEST = 128
"""Wider layers do not fit on the chip."""


class Layers(NamedTuple):
    """Where a network's (outputs, inputs) matrices lie, one after another, in a vector of weights.

    After all but the last there is a ReLU. If the network `gathers`, the second matrix belongs to
    the first layer too: it is multiplied with what `Gathered` says, and the products are added.
    """

    start: int
    shapes: tuple[tuple[int, int], ...]
    gathers: bool = False

    def cut(self, weights: Float[Tensor, " weights"]) -> list[Float[Tensor, "outputs inputs"]]:
        """The matrices; they share the weights' memory."""
        sizes = [rows * columns for rows, columns in self.shapes]
        pieces = weights[self.start : self.start + sum(sizes)].split(sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]


class Gathered(NamedTuple):
    """More inputs, rows of which many points share: `owners` says which is whose; without it each
    point has its own. No gradient passes through them.
    """

    rows: Float[Tensor, "rows inputs"]
    owners: Int[Tensor, " points"] | None = None


class Density(NamedTuple):
    """Besides the outputs a density: see `density_mlp`."""

    shift: float
    squeeze: Float[Tensor, " points"]


class Color(NamedTuple):
    """The sigmoids of the first three outputs."""


Head = Density | Color


def density_mlp(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    shift: float,
    squeeze: Float[Tensor, " points"],
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points outputs"]]:
    """The density, and all outputs of the network, whose first is its logarithm but for `shift`;
    it is multiplied with `squeeze`, through which no gradient passes. Differentiable in inputs and
    weights.
    """
    if _fits(inputs, layers):
        head = Density(shift, squeeze)
        outputs, density = _TritonMLP.apply(inputs, weights, layers, None, head)
        return density, outputs
    return density_by_torch(inputs, weights, layers, shift, squeeze)


def color_mlp(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    more: Gathered,
) -> Float[Tensor, "points 3"]:
    """Colors in [0, 1]: the sigmoids of the network's first three outputs; differentiable in inputs
    and weights.
    """
    if _fits(inputs, layers):
        return _TritonMLP.apply(inputs, weights, layers, more, Color())[0]
    return color_by_torch(inputs, weights, layers, more)


def density_by_torch(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    shift: float,
    squeeze: Float[Tensor, " points"],
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points outputs"]]:
    """The twin of `density_mlp` with Triton."""
    outputs = _outputs(inputs, weights, layers)
    return _BoundedExp.apply(outputs[:, 0] + shift) * squeeze, outputs


def color_by_torch(
    inputs: Float[Tensor, "points inputs"],
    weights: Float[Tensor, " weights"],
    layers: Layers,
    more: Gathered,
) -> Float[Tensor, "points 3"]:
    """The twin of `color_mlp` with Triton."""
    return torch.sigmoid(_outputs(inputs, weights, layers, more)[:, :3])


def _outputs(
    inputs: Tensor, weights: Tensor, layers: Layers, more: Gathered | None = None
) -> Float[Tensor, "points outputs"]:
    """What a network's last matrix gives."""
    first, *others = layers.cut(weights)
    values = inputs @ first.T
    if layers.gathers:
        assert more is not None
        of_rows = more.rows @ others.pop(0).T
        values = values + (of_rows if more.owners is None else of_rows[more.owners])
    for matrix in others:
        values = torch.relu(values) @ matrix.T
    return values


def _fits(inputs: Tensor, layers: Layers) -> bool:
    """Whether Triton's kernel takes such a network here."""
    hidden = len(layers.shapes) - 1 - layers.gathers
    width = max(max(shape) for shape in layers.shapes)
    fits = 1 <= hidden <= MOST_HIDDEN_LAYERS and width <= WIDEST
    return fits and uses_triton(inputs) and _multiplies_bfloat16(inputs.device)


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a card has bfloat16 in hardware, as all have from Ampere on; the interpreter does."""
    return device.type == "cpu" or torch.cuda.get_device_capability(device) >= (8, 0)


class _TritonMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weights: Tensor, layers: Layers, more: Gathered | None, head: Head
    ) -> tuple[Tensor, ...]:
        from . import fused_mlp_triton

        given = inputs.detach(), weights.detach(), layers, more, head
        found = fused_mlp_triton.forward(*given)
        ctx.save_for_backward(inputs, weights, *found)
        ctx.layers, ctx.more, ctx.head = layers, more, head
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        from . import fused_mlp_triton

        inputs, weights, *found = (part.detach() for part in ctx.saved_tensors)
        given = inputs, weights, ctx.layers, ctx.more, ctx.head, tuple(found), slopes
        return *fused_mlp_triton.gradients(*given), None, None, None


class _BoundedExp(torch.autograd.Function):
    """exp that neither overflows nor loses its slope where it is cut off."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = values.clamp(max=LARGEST_EXPONENT).exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradients[0] * result
