# SPDX-License-Identifier: GPL-3.0-or-later
"""Sines and cosines of doubling frequency."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PositionalEncoding(nn.Module):
    """Lifts coordinates in [-1, 1] so that an MLP can follow fine detail in them.

    A coordinate p becomes p, then sin(2^k π p) and cos(2^k π p) for k = 0 … `num_frequencies` - 1;
    the sines of all coordinates and frequencies come before the cosines.

    Source: Mildenhall et al. 2020, "NeRF", eq. 4.
    Differs: p itself is kept, as the authors' program does: every wave of eq. 4 has -1 and 1 in
        common, which would make opposite view directions one. The factor π is that of eq. 4; the
        authors' program leaves it out, for
        coordinates that are not normalised to [-1, 1].
    """

    frequencies: Tensor

    def __init__(self, in_dim: int, num_frequencies: int) -> None:
        super().__init__()
        if num_frequencies < 0:
            raise ValueError(f"num_frequencies must not be negative, got {num_frequencies}")
        self.out_dim = in_dim * (1 + 2 * num_frequencies)
        octaves = 2.0 ** torch.arange(num_frequencies, dtype=torch.float64)
        self.register_buffer("frequencies", (math.pi * octaves).float(), persistent=False)

    def forward(
        self,
        coordinates: Float[Tensor, "*batch in"],
        window: Float[Tensor, " frequencies"] | None = None,
    ) -> Float[Tensor, "*batch out"]:
        """The encoding, its waves weighed by `window` where there is one."""
        phases = (coordinates[..., None, :] * self.frequencies[:, None]).flatten(-2)
        sines, cosines = phases.sin(), phases.cos()
        if window is not None:
            weights = window.repeat_interleave(coordinates.shape[-1])
            sines, cosines = weights * sines, weights * cosines
        return torch.cat([coordinates, sines, cosines], dim=-1)


def annealing_window(
    alpha: Float[Tensor, ""], num_frequencies: int
) -> Float[Tensor, " {num_frequencies}"]:
    """Weights of a positional encoding's waves that ease in one after the other.

    None at `alpha` 0; wave k while `alpha` goes from k to k + 1; all at `num_frequencies`.

    Source: Park et al. 2021, "Nerfies", sec. 3.5 (coarse-to-fine deformation regularisation).
    """
    reached = alpha - torch.arange(num_frequencies, device=alpha.device, dtype=alpha.dtype)
    return (1 - torch.cos(math.pi * reached.clamp(0, 1))) / 2
