# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the samples of rays lie in a field's cube: plain torch, or Triton where it can run.

No gradients pass. It lies here and not among the kernels as it needs the field's contraction.
"""

from jaxtyping import Float, Int
from torch import Tensor

from ..fields.instant_ngp import InstantNGPField
from ..kernels.instant_ngp_types import MovingRayTargets, RayTargets
from ..kernels.triton_use import uses_triton

Places = tuple[Float[Tensor, "slots 3"], Float[Tensor, " slots"]]


def place_samples(
    rays: RayTargets | MovingRayTargets,
    owners: Int[Tensor, " slots"],
    t_mids: Float[Tensor, " slots"],
    field: InstantNGPField,
) -> Places:
    """Samples at distances along the rays that own them, as `InstantNGPField.to_cube` says."""
    if uses_triton(t_mids):
        from ..kernels import sample_places_triton

        given = rays.origins, rays.directions, owners, t_mids
        return sample_places_triton.place(*given, field.unbounded)
    return place_by_torch(rays, owners, t_mids, field)


def place_by_torch(
    rays: RayTargets | MovingRayTargets,
    owners: Int[Tensor, " slots"],
    t_mids: Float[Tensor, " slots"],
    field: InstantNGPField,
) -> Places:
    """The twin of `sample_places_triton.place`, for any device and precision."""
    along = t_mids[:, None] * rays.directions.index_select(0, owners)
    return field.to_cube(rays.origins.index_select(0, owners) + along)
