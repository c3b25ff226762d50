# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes that are learned with a field: of the times and of the views of its capture."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class TimeCodes(nn.Module):
    """A code for each of `times`, interpolated linearly in between and held outside.

    Source: Park et al. 2021, "Nerfies", sec. 3.2 (a latent code per frame, interpolated to render
        in between); the authors' program draws them evenly from [0, 0.05).
    Differs: frames of one time share a code.

    Raises:
        ValueError: if there are not at least two times in rising order.
    """

    times: Tensor

    def __init__(
        self, times: Sequence[float], dim: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        rising = torch.tensor(times, dtype=torch.float32)
        if len(rising) < 2 or not bool((rising.diff() > 0).all()):
            raise ValueError(f"expected at least two rising times, got {list(times)}")
        self.register_buffer("times", rising)
        self.codes = nn.Parameter(0.05 * torch.rand(len(rising), dim, generator=generator))

    def forward(self, times: Float[Tensor, " count"]) -> Float[Tensor, "count dim"]:
        """The codes of `times`; at one of the code's own times exactly that code."""
        later = torch.searchsorted(self.times, times.contiguous()).clamp(1, len(self.times) - 1)
        before, after = self.times[later - 1], self.times[later]
        share = ((times - before) / (after - before)).clamp(0, 1)
        return torch.lerp(self.codes[later - 1], self.codes[later], share[:, None])


class ViewCodes(nn.Module):
    """A code for each training view; for other cameras their mean.

    Source: Park et al. 2021, "Nerfies", sec. 3.1 (appearance codes), after Martin-Brualla et al.
        2021, "NeRF in the wild".
    """

    def __init__(self, num_views: int, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.codes = nn.Parameter(0.05 * torch.rand(num_views, dim, generator=generator))

    def forward(
        self, views: Int[Tensor, " count"] | None, count: int
    ) -> Float[Tensor, "count dim"]:
        """The codes of `count` rays; `views` is None for new cameras."""
        if views is None:
            return self.codes.mean(dim=0).expand(count, -1)
        return self.codes.index_select(0, views)
