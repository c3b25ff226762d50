# SPDX-License-Identifier: GPL-3.0-or-later
"""What the trainer, the renderer and the mesher need of a method."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..geometry.rays import Rays, RenderedRays
from ..training.trainer import TrainingProgress

__all__ = ["DynamicMethod", "Method", "TrainingProgress", "WarpingMethod"]


class Method(Protocol):
    """A way to learn a radiance field: its configuration, one optimisation step, the result.

    A step, not a loss: fused kernels hold their gradients and optimiser, so the method owns both.
    A method may also have `warm_up()`, which compiles what it needs and changes nothing else: it is
    called before the training clock starts.
    """

    name: ClassVar[str]
    config: Any
    """A frozen dataclass of JSON values; `presets` of the same module names instances of it."""
    device: torch.device

    def prepare(self, batches: RayBatches) -> None:
        """Called once before step 0 of a fresh training, never when one is resumed."""

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes one optimisation step. Returns at least `loss`; tensors are read only when shown.

        All randomness comes from `generator` (a CPU one), so that a resumed training repeats an
        uninterrupted one.
        """

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows along any number of rays, without gradients, on the rays' device."""

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit at world positions; 0 outside what was learned."""

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Box in scene units outside of which a mesh is not looked for."""

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed training needs, optimiser included, as tensors to be saved.

        They may be the method's own, and change with its next step.
        """

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned. Raises ValueError where names or shapes do not fit."""


@runtime_checkable
class DynamicMethod(Method, Protocol):
    """A method whose field moves. Times are in [0, 1], those of the capture; None stands for 0.

    Its constructor also takes `times`: the distinct times of the training views in rising order,
    empty for a scene that does not move. `render_rays` takes them from `rays.times`.
    """

    is_dynamic: ClassVar[bool]

    def density(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"] | None = None
    ) -> Float[Tensor, " points"]:
        """Density per scene unit at world positions and times; 0 outside what was learned."""

    def color(
        self,
        points: Float[Tensor, "points 3"],
        directions: Float[Tensor, "points 3"],
        times: Float[Tensor, " points"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` and `times` seen along `directions`."""


@runtime_checkable
class WarpingMethod(DynamicMethod, Protocol):
    """A dynamic method that bends space into a canonical field: `warp`, then a field at rest."""

    def to_canonical(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Where in the canonical field, in scene units, lies what is at `points` at `times`."""
