# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns a picture as a field.

Source: Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low
dimensional domains", sec. 6.2 and appendix.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from ..fields.image_field import ImageEncoding, ImageField, pixel_points
from .limits import LearningRate, Limits, NumPoints, NumSteps, Width


@dataclass(frozen=True)
class ImageFittingConfig:
    """How a picture is learned.

    Differs: the paper's network has 256 channels and features and sees every other pixel in each
        of 2000 steps; here `batch` random pixels a step go through half as many channels, with a
        learning rate that falls to a hundredth, for a CPU.
    """

    encoding: ImageEncoding = "gaussian"
    scale: Annotated[float, Limits(0.001, 10000.0)] = 10.0
    steps: NumSteps = 1500
    batch: NumPoints = 4096
    features: Annotated[int, Limits(1, 4096)] = 128
    width: Width = 128
    depth: Annotated[int, Limits(1, 32)] = 3
    learning_rate: LearningRate = 2e-3


def fit_image(
    image: Float[Tensor, "height width channels"],
    config: ImageFittingConfig,
    generator: torch.Generator,
) -> Generator[tuple[int, float], None, ImageField]:
    """The field that learned a picture with channels in [0, 1], on the picture's device.

    Yields (steps done, loss) after each step. All randomness comes from `generator`, a CPU one.
    """
    height, width, channels = image.shape
    field = ImageField(
        channels,
        config.encoding,
        config.features,
        config.scale,
        config.width,
        config.depth,
        generator,
    ).to(image.device)
    points = pixel_points(height, width).reshape(-1, 2).to(image.device)
    colors = image.reshape(-1, channels).float()
    optimizer = torch.optim.Adam(field.parameters(), lr=config.learning_rate, eps=1e-15)
    for step in range(config.steps):
        falls = 0.01 ** (step / max(1, config.steps))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * falls
        if config.batch < len(points):
            chosen = torch.randint(len(points), (config.batch,), generator=generator)
            chosen = chosen.to(image.device)
            loss = torch.nn.functional.mse_loss(field(points[chosen]), colors[chosen])
        else:
            loss = torch.nn.functional.mse_loss(field(points), colors)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss of step {step} is {value}")
        yield step + 1, value
    return field
