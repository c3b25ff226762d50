# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture as a function of the place in it."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.fourier_features import FourierFeatures
from ..encodings.frequency import PositionalEncoding
from ..networks.mlp import MLP, linear

ImageEncoding = Literal["none", "basic", "positional", "gaussian"]
ENCODINGS: tuple[str, ...] = get_args(ImageEncoding)


class ImageField(nn.Module):
    """The colors of a picture at points of the plane, each channel in [0, 1].

    The picture's longer side spans [-1, 1], x to the right and y down. `encoding` is what the
    network is told of a point: its coordinates alone ("none"), one wave along each axis ("basic"),
    `features` waves of frequencies that double along each axis ("positional"), or in random
    directions ("gaussian"), `scale` periods per side of the picture long by standard deviation.

    Source: Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low
        dimensional domains", sec. 6.1 (mappings) and 6.2 (pictures).
    Differs: the waves of "basic" and "positional" are NeRF's, which go with the coordinates
        themselves, and the frequencies of "positional" are octaves; the network is smaller.

    Raises:
        ValueError: for another encoding.
    """

    def __init__(
        self,
        channels: int = 3,
        encoding: str = "gaussian",
        features: int = 128,
        scale: float = 10.0,
        width: int = 128,
        depth: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.encoding: nn.Module
        if encoding == "none":
            self.encoding = PositionalEncoding(2, 0)
        elif encoding == "basic":
            self.encoding = PositionalEncoding(2, 1)
        elif encoding == "positional":
            self.encoding = PositionalEncoding(2, octaves_for(scale))
        elif encoding == "gaussian":
            # A side is two units long.
            self.encoding = FourierFeatures(2, features, scale / 2, generator)
        else:
            raise ValueError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
        self.trunk = MLP(self.encoding.out_dim, width, depth, generator=generator)
        self.head = linear(width, channels, generator)

    def forward(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch channels"]:
        return torch.sigmoid(self.head(self.trunk(self.encoding(points))))


def octaves_for(scale: float) -> int:
    """How many doubling frequencies reach up to three times `scale` periods per side.

    So "positional" hears about as much detail as "gaussian", of whose waves few are finer.
    """
    # Octave k has 2^k periods per side of the picture, which is two units long.
    return max(1, round(torch.log2(torch.tensor(3 * scale)).item()) + 1)


def pixel_points(height: int, width: int) -> Float[Tensor, "height width 2"]:
    """Where the centers of a picture's pixels lie in the plane of an `ImageField`."""
    half = max(height, width) / 2
    x = (torch.arange(width) + 0.5 - width / 2) / half
    y = (torch.arange(height) + 0.5 - height / 2) / half
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


@torch.no_grad()
def draw(
    field: ImageField, height: int, width: int, points_at_once: int = 1 << 16
) -> Float[Tensor, "height width channels"]:
    """The picture at any resolution. Its sides' ratio should be that of the picture learned."""
    device = next(field.parameters()).device
    parts = pixel_points(height, width).reshape(-1, 2).split(points_at_once)
    colors = torch.cat([field(part.to(device)).float().cpu() for part in parts])
    return colors.reshape(height, width, -1)
