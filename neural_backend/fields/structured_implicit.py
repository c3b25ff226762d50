# SPDX-License-Identifier: GPL-3.0-or-later
"""A shape as a sum of scaled, turned Gaussians, each of which may have its own detail."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..meshing.isosurface import Isosurface
from ..networks.mlp import linear

LEVEL = -0.07
"""Of the paper (sec. 3): the surface lies where the sum is this; inside it is less."""

_LEAST_RADIUS = 5e-3


@dataclass(frozen=True)
class Element:
    """One Gaussian: an ellipsoid at `center` with `radii` along its axes, weighted `constant`.

    `rotation` is a unit quaternion (w, x, y, z) that turns the ellipsoid's axes into the frame's.
    """

    center: tuple[float, ...]
    radii: tuple[float, ...]
    rotation: tuple[float, ...]
    constant: float


def rotation_matrices(quaternions: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotations that quaternions (w, x, y, z) of any length stand for."""
    w, x, y, z = F.normalize(quaternions, dim=-1).unbind(dim=-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


class StructuredImplicitField(nn.Module):
    """A sum of negative Gaussians (SIF), multiplied by what small networks know (LDIF).

    With `local_dim` each element has a code of that size, and a network that all share is shown
    the code and the position in the element's own axes, in its radii.

    Source: Genova et al. 2019, "Learning shape templates with structured implicit functions",
        sec. 3, eqs. 1 and 2; Genova et al. 2020, "Local deep implicit functions for 3D shape",
        sec. 3.1, eq. 1.
    Differs: elements and codes are learned for one shape, not predicted by a network; the local
        network is a plain MLP, where the paper's has conditional batch normalisation.
    """

    bounds: Float[Tensor, "2 3"]

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        num_elements: int = 32,
        rotated: bool = True,
        local_dim: int = 0,
        local_width: int = 32,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("bounds", bounds.clone())
        self.rotated, self.local_dim = rotated, local_dim
        size = float((bounds[1] - bounds[0]).max())
        start = torch.rand(num_elements, 3, generator=generator) * (bounds[1] - bounds[0])
        self.centers = nn.Parameter(bounds[0] + start)
        self.log_radii = nn.Parameter(torch.full((num_elements, 3), size / 10).log())
        self.log_constants = nn.Parameter(torch.zeros(num_elements))
        turns = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(num_elements, 1)
        self.quaternions = nn.Parameter(turns, requires_grad=rotated)
        if local_dim:
            self.codes = nn.Parameter(
                0.1 * torch.randn(num_elements, local_dim, generator=generator)
            )
            self.lift = linear(local_dim + 3, local_width, generator)
            self.middle = linear(local_width, local_width, generator)
            self.out = linear(local_width, 1, generator)
            # At first there is no detail.
            nn.init.zeros_(self.out.weight)

    def place(self, centers: Float[Tensor, "elements 3"], radius: float) -> None:
        """Puts balls of one radius at `centers`."""
        with torch.no_grad():
            self.centers.copy_(centers)
            self.log_radii.copy_(torch.full_like(self.log_radii, radius).log())

    def local_points(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "elements points 3"]:
        """Points in the axes of each element, in its radii."""
        radii = self.log_radii.exp() + _LEAST_RADIUS
        # x' = R^T (x - c), each axis by its radius.
        turned = rotation_matrices(self.quaternions) / radii[:, None]
        offset = torch.einsum("ec,ecd->ed", self.centers, turned)
        return points @ turned - offset[:, None]

    def influences(
        self, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "elements points"], Float[Tensor, "elements points 3"]]:
        """What each element adds without its detail (eq. 2), and the points in its axes."""
        local = self.local_points(points)
        shapes = torch.exp(-0.5 * local.square().sum(dim=-1))
        return -self.log_constants.exp()[:, None] * shapes, local

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        latent: Float[Tensor, " latent"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        influences, local = self.influences(points.reshape(-1, 3))
        if self.local_dim:
            influences = influences * (1 + self._detail(local))
        return influences.sum(dim=0).reshape(points.shape[:-1])

    @torch.no_grad()
    def reach(self) -> Float[Tensor, "2 3"]:
        """The box around all ellipsoids of three radii, beyond which there is no surface."""
        radii = self.log_radii.exp() + _LEAST_RADIUS
        axes = rotation_matrices(self.quaternions) * radii[:, None]
        extent = 3 * axes.square().sum(dim=-1).sqrt()
        return torch.stack(
            [(self.centers - extent).amin(dim=0), (self.centers + extent).amax(dim=0)]
        )

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return Isosurface(torch.no_grad()(self.forward), LEVEL, False, self.bounds)

    @torch.no_grad()
    def elements(self) -> list[Element]:
        """The Gaussians, for somebody to look at."""
        turns = F.normalize(self.quaternions, dim=-1)
        columns = (
            self.centers.tolist(),
            (self.log_radii.exp() + _LEAST_RADIUS).tolist(),
            turns.tolist(),
            (-self.log_constants.exp()).tolist(),
        )
        return [
            Element(tuple(center), tuple(radii), tuple(turn), constant)
            for center, radii, turn, constant in zip(*columns, strict=True)
        ]

    @torch.no_grad()
    def set_elements(self, elements: Sequence[Element]) -> None:
        """Takes elements that were moved, turned or resized by hand; details go with them.

        Raises:
            ValueError: for another number of elements, radii that are not positive, constants
                that are not negative or values that are no numbers.
        """
        if len(elements) != len(self.centers):
            raise ValueError(f"expected {len(self.centers)} elements, got {len(elements)}")
        centers, radii, turns = (
            torch.tensor([getattr(one, name) for one in elements]).to(self.centers)
            for name in ("center", "radii", "rotation")
        )
        constants = torch.tensor([one.constant for one in elements]).to(self.centers)
        finite = all(bool(part.isfinite().all()) for part in (centers, radii, turns, constants))
        lengths = turns.norm(dim=-1)
        if not finite or not (radii > 0).all() or not (constants < 0).all() or not lengths.all():
            raise ValueError("expected positive radii, negative constants and rotations")
        self.centers.copy_(centers)
        self.log_radii.copy_((radii - _LEAST_RADIUS).clamp(min=1e-6).log())
        self.quaternions.copy_(turns)
        self.log_constants.copy_((-constants).log())

    def _detail(
        self, local: Float[Tensor, "elements points 3"]
    ) -> Float[Tensor, "elements points"]:
        # The code's share of the first layer is the same for all points.
        own, of_code = self.lift.weight.split([3, self.local_dim], dim=1)
        start = F.linear(self.codes, of_code, self.lift.bias)
        # Beyond a few radii the Gaussian hides the detail; there positions say nothing new.
        hidden = F.relu(F.linear(local.clamp(-4, 4), own) + start[:, None])
        return self.out(F.relu(self.middle(hidden)))[..., 0]
