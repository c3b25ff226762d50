# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that NeRF and the methods that bend its rays have in common."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..fields.nerf import DensityActivation, Encoding, NeRFField
from .limits import LearningRate, Limits, NumRays, NumSteps, Octaves, SkipDepth

Background = Literal["white", "black", "random"]
Samples = Annotated[int, Limits(1, 1024)]


@dataclass(frozen=True, kw_only=True)
class NeRFConfig:
    """How the field is built and trained; the defaults are the paper's.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.3 (rays, samples, learning rates, steps: "100 to
        300 thousand"), fig. 7 (width, depth), sec. 5.1 (frequencies), appendix A (white
        background, density noise: 1 for real scenes, 0 for synthetic ones).
    Differs: without `hierarchical` there is one network with `coarse_samples`; for as many
        evaluations as the complete method's, which the paper's ablation has, set them to
        2 · `coarse_samples` + `fine_samples`. With `one_network` the fine network also says where
        the fine samples belong. `fourier_*` are for `encoding` "fourier" only; `fourier_scale` is
        in periods per half side of the bounds.
    """

    steps: NumSteps = 200_000
    rays: NumRays = 4096
    coarse_samples: Samples = 64
    fine_samples: Samples = 128
    hierarchical: bool = True
    one_network: bool = False
    width: Annotated[int, Limits(2, 2048)] = 256
    depth: SkipDepth = 8
    encoding: Encoding = "positional"
    position_frequencies: Octaves = 10
    direction_frequencies: Octaves = 4
    fourier_features: Annotated[int, Limits(1, 4096)] = 256
    fourier_scale: Annotated[float, Limits(0.001, 1000.0)] = 4.0
    view_dependence: bool = True
    density_activation: DensityActivation = "relu"
    density_noise: Annotated[float, Limits(0.0, 100.0)] = 0.0
    background: Background = "white"
    learning_rate: LearningRate = 5e-4
    final_learning_rate: LearningRate = 5e-5
    bfloat16: bool = True


def network_names(config: NeRFConfig) -> tuple[str, ...]:
    """The networks that are trained; the last is the one that is shown."""
    if not config.hierarchical:
        return ("coarse",)
    return ("fine",) if config.one_network else ("coarse", "fine")


def make_field(
    config: NeRFConfig,
    bounds: Float[Tensor, "2 3"],
    unbounded: bool,
    generator: torch.Generator,
    appearance_dim: int = 0,
) -> NeRFField:
    """An untrained network as `config` has it."""
    return NeRFField(
        bounds,
        unbounded=unbounded,
        width=config.width,
        depth=config.depth,
        encoding=config.encoding,
        position_frequencies=config.position_frequencies,
        direction_frequencies=config.direction_frequencies,
        fourier_features=config.fourier_features,
        fourier_scale=config.fourier_scale,
        view_dependence=config.view_dependence,
        density_activation=config.density_activation,
        appearance_dim=appearance_dim,
        generator=generator,
    )
