# SPDX-License-Identifier: GPL-3.0-or-later
"""What NeRF and the methods that bend space in front of one have in common, once they are built."""

from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..geometry.rays import Rays, RenderedRays
from .hierarchical_rays import HierarchicalRays
from .learner import Learner


class HierarchicalMethod:
    """Shows, asks and stores networks that are sampled coarsely, then finely.

    A method of this kind sets `_rays` and `_learner`, and has a `train_step` of its own.
    """

    _rays: HierarchicalRays
    _learner: Learner

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self._rays.bounds

    def prepare(self, batches: RayBatches) -> None:
        """There is nothing to prepare: what a resumed training needs too is done in its steps."""

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows at the rays' times and in the appearance of their views, where it
        has either; samples are at the middles and quantiles of their parts.
        """
        return self._rays.render_rays(rays, normals)

    def density(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"] | None = None
    ) -> Float[Tensor, " points"]:
        """Density per scene unit; passes gradients on where `points` ask for them."""
        return self._rays.density(points, times)

    def color(
        self,
        points: Float[Tensor, "points 3"],
        directions: Float[Tensor, "points 3"],
        times: Float[Tensor, " points"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] at `points` and `times` seen along `directions`, in the mean
        appearance of all views where they have their own.
        """
        return self._rays.color(points, directions, times)

    def state(self) -> dict[str, Tensor]:
        """Copies of all networks and codes and of Adam's moments."""
        return self._learner.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned. Raises ValueError where names or shapes do not fit."""
        self._learner.load_state(state)
