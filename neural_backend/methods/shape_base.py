# SPDX-License-Identifier: GPL-3.0-or-later
"""What the trainer, the mesher and the jobs need of a method that learns shapes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.shape_set import ShapeSamples, ShapeSet
from ..kernels import process_group
from ..kernels.repeated_step import ScheduledStep
from ..meshing.isosurface import Isosurface
from ..sampling.stratified import generator_for
from ..training.adam_state import ScheduledAdam, copy_into, training_tensors
from ..training.trainer import TrainingProgress

__all__ = ["Observation", "OptimizedShapes", "ShapeMethod", "TrainingProgress", "at_most_one"]

Losses = dict[str, float | Tensor]


@dataclass(frozen=True)
class Observation:
    """What is known of a shape that a code is sought for, in the unit frame.

    `surface` lies on it. `points` have the signed `distances` given. `free` is outside of it, at
    most `clearance` from it: an upper bound, for the surface that was seen may not be the nearest.
    """

    surface: Float[Tensor, "surface 3"]
    points: Float[Tensor, "points 3"]
    distances: Float[Tensor, " points"]
    free: Float[Tensor, "free 3"]
    clearance: Float[Tensor, " free"]

    @classmethod
    def of_samples(cls, shape: ShapeSamples, device: torch.device | str = "cpu") -> "Observation":
        """All that was measured of a whole shape: on it, near it and anywhere."""
        points = torch.cat([shape.near, shape.uniform]).to(device)
        distances = torch.cat([shape.near_distances, shape.uniform_distances]).to(device)
        none, empty = points[:0], distances[:0]
        return cls(shape.surface.to(device), points, distances, none, empty)

    @classmethod
    def of_surface(cls, surface: Float[Tensor, "surface 3"]) -> "Observation":
        """Nothing but points on the surface."""
        none, empty = surface.new_zeros(0, 3), surface.new_zeros(0)
        return cls(surface, none, empty, none, empty)


class ShapeMethod(Protocol):
    """A way to learn one shape, or a family of them with a code each.

    All is in unit frames; whoever asks knows where a shape's frame lies in the scene.
    """

    name: ClassVar[str]
    is_family: ClassVar[bool]
    """Whether it learns several shapes, which have codes."""
    gives_distances: ClassVar[bool]
    """Whether its scalar is a signed distance, which grows with the scene; else an occupancy."""
    config: Any
    device: torch.device

    def prepare(self, shapes: ShapeSet) -> None:
        """Called once before step 0 of a fresh training, never when one is resumed."""

    def train_step(
        self, shapes: ShapeSet, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes one optimisation step. Returns at least `loss`; tensors are read only when shown.

        All randomness comes from `generator` (a CPU one), so that a resumed training repeats an
        uninterrupted one.
        """

    def codes(self) -> Float[Tensor, "shapes latent"]:
        """The codes of the shapes that were learned; none for a single shape."""

    def fit_latent(
        self, seen: Observation, generator: torch.Generator, steps: int = 0
    ) -> Float[Tensor, " latent"]:
        """A code for a shape that was not learned; `steps` of 0 takes the configuration's."""

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        """The surface of the shape with this code, in the unit frame."""

    @property
    def numbers_shared(self) -> int:
        """How many learned numbers all shapes share."""

    @property
    def numbers_per_shape(self) -> int:
        """How many learned numbers each shape has for itself."""

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed training needs, optimiser included, as tensors to be saved."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned. Raises ValueError where names or shapes do not fit."""


class OptimizedShapes:
    """The part that is the same in all methods with one torch module and Adam."""

    network: nn.Module
    optimizer: ScheduledAdam
    device: torch.device
    _repeated: tuple[ScheduledStep[Losses], torch.Generator] | None = None

    def prepare(self, shapes: ShapeSet) -> None:
        """There is nothing to prepare."""

    def train_step(
        self, shapes: ShapeSet, progress: TrainingProgress, generator: torch.Generator
    ) -> Losses:
        """See `ShapeMethod`. On CUDA steps are recorded and replayed, without a wait for it."""
        if self.device.type == "cuda" and process_group.size() == 1:
            return self._repeat(shapes, progress.fraction, generator)
        return self._step(shapes, progress.fraction, generator)

    def _step(
        self, shapes: ShapeSet, fraction: float | Tensor, generator: torch.Generator
    ) -> Losses:
        """Takes a step when `fraction` of the training is over. Where that is a tensor and the
        generator lies on the device, nothing is sent there and nothing is read back.
        """
        raise NotImplementedError

    def _repeat(self, shapes: ShapeSet, fraction: float, generator: torch.Generator) -> Losses:
        """`_step`, recorded once for these shapes and replayed."""
        if self._repeated is None:
            # Recorded steps know the generator, so that it stays the same.
            self._repeated = ScheduledStep(1, self.device), generator_for(self.device, generator)
        step, random = self._repeated
        return step(
            lambda numbers: self._step(shapes, numbers[0], random), shapes, [fraction], random
        )

    def codes(self) -> Float[Tensor, "shapes latent"]:
        return torch.zeros(0, 0, device=self.device)

    def fit_latent(
        self, seen: Observation, generator: torch.Generator, steps: int = 0
    ) -> Float[Tensor, " latent"]:
        """Raises ValueError: a single shape has no code."""
        raise ValueError("expected a method of shape families, got one of a single shape")

    @property
    def numbers_shared(self) -> int:
        return 0

    @property
    def numbers_per_shape(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def state(self) -> dict[str, Tensor]:
        """Copies of the network's tensors and of Adam's."""
        tensors = training_tensors(self.network, self.optimizer)
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        copy_into(training_tensors(self.network, self.optimizer), state)


def at_most_one(share: float | Tensor) -> float | Tensor:
    """`min(share, 1)`, without reading a tensor back."""
    return share.clamp(max=1.0) if isinstance(share, Tensor) else min(share, 1.0)
