# SPDX-License-Identifier: GPL-3.0-or-later
"""Small networks without biases: plain torch, or Triton where it can run."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .triton_use import uses_triton

MOST_HIDDEN_LAYERS = 3
"""Triton's kernel holds the sums for no more than these."""
WIDEST = 128
"""Wider layers do not fit on the chip."""


def mlp(
    inputs: Float[Tensor, "points inputs"], matrices: list[Tensor]
) -> Float[Tensor, "points outputs"]:
    """What a network makes of points: ReLU after each of its (outputs, inputs) matrices but the
    last; differentiable in both.

    On CUDA in bfloat16 with sums of single precision, else in the precision of the matrices.
    """
    hidden, width = len(matrices) - 1, max(max(matrix.shape) for matrix in matrices)
    fits = 1 <= hidden <= MOST_HIDDEN_LAYERS and width <= WIDEST
    if fits and uses_triton(inputs) and _multiplies_bfloat16(inputs.device):
        return _TritonMLP.apply(inputs, *matrices)
    return mlp_by_torch(inputs, matrices)


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a card has bfloat16 in hardware, as all have from Ampere on; the interpreter does."""
    return device.type == "cpu" or torch.cuda.get_device_capability(device) >= (8, 0)


def mlp_by_torch(
    inputs: Float[Tensor, "points inputs"], matrices: list[Tensor]
) -> Float[Tensor, "points outputs"]:
    """The twin of `fused_mlp_triton`, for any device and precision."""
    values = inputs
    for matrix in matrices[:-1]:
        values = torch.relu(values @ matrix.T)
    return values @ matrices[-1].T


class _TritonMLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, *matrices: Tensor) -> Tensor:
        from . import fused_mlp_triton

        ctx.save_for_backward(inputs, *matrices)
        return fused_mlp_triton.forward(inputs.detach(), list(matrices))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, ...]:
        from . import fused_mlp_triton

        inputs, *matrices = ctx.saved_tensors
        by_inputs, by_matrices = fused_mlp_triton.gradients(inputs.detach(), matrices, slopes[0])
        return by_inputs, *by_matrices
