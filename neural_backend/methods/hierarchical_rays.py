# SPDX-License-Identifier: GPL-3.0-or-later
"""NeRF's way of looking at fields: coarse samples first, fine ones where something was seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatch, RayBatches
from ..fields.base import RadianceField
from ..geometry.boxes import inside_box, intersect_box
from ..geometry.rays import Rays, RenderedRays
from ..kernels import process_group
from ..networks.precision import mlp_autocast
from ..rendering.volume import accumulate, ray_weights
from ..sampling.importance import sample_importance
from ..sampling.stratified import from_spacing, sample_stratified, to_spacing
from ..training.losses import over_background, pictures_over_background, squared_error
from .nerf_config import NeRFConfig

_POINTS_AT_ONCE = 2**18
_NEAREST, _FARTHEST = 0.05, 1000.0
"""Range of unbounded rays, in half sides of the bounds."""
_MOST_PIXELS_TRIMMED = 2**26
"""A list of more pixels than this takes more memory than it saves time."""


@dataclass(frozen=True)
class Shown:
    """What a network shows of rays, and where on them it was asked."""

    rendered: RenderedRays
    points: Float[Tensor, "rays samples 3"]
    weights: Float[Tensor, "rays samples"]


def no_condition(rays: Rays) -> None:
    """That of a field which depends on nothing but points and directions."""
    return


class HierarchicalRays:
    """Samples and composites rays through `networks`, of which the last is the one that is shown.

    `condition_fn` gives what the networks depend on besides points and directions, for rays whose
    `times` and `views` may be set; its tensors have the shape (rays, 1, …). If there is only one
    network, it also says where the fine samples belong, and learns from these alone.

    Source: Mildenhall et al. 2020, "NeRF", sec. 4 and 5.2.
    """

    def __init__(
        self,
        config: NeRFConfig,
        networks: Sequence[RadianceField],
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        device: torch.device,
        condition_fn: Callable[[Rays], Any] = no_condition,
    ) -> None:
        self.config, self.unbounded, self.device = config, unbounded, device
        self.bounds = bounds.to(device)
        self._coarse, self._fine = networks[0], networks[-1]
        self._condition_fn = condition_fn
        self._reach = float((bounds[1] - bounds[0]).max()) / 2
        self._trimmed: RayBatches | None = None

    def errors(
        self, batch: RayBatch, generator: torch.Generator
    ) -> tuple[list[Shown], list[Float[Tensor, ""]]]:
        """What each network shows of a batch, and its squared error; the last is the one shown."""
        rays, rgba = batch.rays.to(self.device), batch.rgba.to(self.device)
        background = self._background(len(rays), generator)
        target = pictures_over_background(rgba, background)
        shown = self.march(rays, generator)
        return shown, [
            squared_error(over_background(each.rendered, background), target) for each in shown
        ]

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows, samples at the middles and quantiles of their parts."""
        near, far = self._limits(rays)
        hits = (far > near).nonzero()[:, 0]
        samples = self.config.coarse_samples
        samples += self.config.fine_samples if self.config.hierarchical else 0
        shown = {
            "rgb": rays.origins.new_zeros(len(rays), 3),
            "accumulation": rays.origins.new_zeros(len(rays)),
            "depth": rays.origins.new_full((len(rays),), torch.inf),
        }
        if normals:
            shown["normals"] = rays.origins.new_zeros(len(rays), 3)
        with torch.no_grad():
            for chosen in hits.split(max(1, _POINTS_AT_ONCE // samples)):
                rendered = self.march(rays[chosen], None, normals)[-1].rendered
                for name, values in shown.items():
                    values[chosen] = getattr(rendered, name)
        return RenderedRays(**shown)

    def density(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"] | None = None
    ) -> Float[Tensor, " points"]:
        """Density per scene unit; passes gradients on where `points` ask for them."""
        # A point is a ray with one sample.
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and points.requires_grad),
            self._autocast(),
        ):
            parts = [
                self._fine.density(part.origins[:, None], self._condition_fn(part))[:, 0]
                for part in _portions(Rays(points, points, times))
            ]
        density = torch.cat(parts) if parts else points.new_zeros(0)
        return density if self.unbounded else density * inside_box(points, self.bounds)

    @torch.no_grad()
    def color(
        self,
        points: Float[Tensor, "points 3"],
        directions: Float[Tensor, "points 3"],
        times: Float[Tensor, " points"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        with self._autocast():
            parts = [
                self._fine(
                    part.origins[:, None], part.directions[:, None], self._condition_fn(part)
                )[1][:, 0]
                for part in _portions(Rays(points, directions, times))
            ]
        return torch.cat(parts) if parts else points.new_zeros(0, 3)

    def leave_out_misses(self, batches: RayBatches) -> None:
        """Has only rays drawn that cross the bounds: the others can teach nothing."""
        if self._trimmed is batches or self.unbounded or batches.num_pixels > _MOST_PIXELS_TRIMMED:
            return
        pixels = batches.candidates
        if pixels is None:
            pixels = torch.arange(batches.num_pixels, device=batches.device)
        kept = []
        for part in pixels.split(_POINTS_AT_ONCE):
            near, far = self._limits(batches.rays(part).rays.to(self.device))
            kept.append(part[(far > near).to(part.device)])
        candidates = torch.cat(kept) if kept else pixels
        if len(candidates):
            batches.candidates = candidates
        self._trimmed = batches

    def march(
        self, rays: Rays, generator: torch.Generator | None, normals: bool = False
    ) -> list[Shown]:
        """What each network shows; without a `generator` only the last one's, without jitter."""
        near, far = self._limits(rays)
        condition = self._condition_fn(rays)
        samples = sample_stratified(near, far, self.config.coarse_samples, generator)
        if not self.config.hierarchical:
            return [self._show(self._fine, rays, condition, samples, far, generator, normals)]
        shown = []
        if generator is not None and self._coarse is not self._fine:
            shown.append(self._show(self._coarse, rays, condition, samples, far, generator, False))
            weights = shown[0].weights.detach()
        else:
            weights = self._weights(rays, condition, samples, far)
        # Bins around the samples: one that met a surface met it anywhere up to its neighbours.
        middles = (samples[:, 1:] + samples[:, :-1]) / 2
        edges = torch.cat([near[:, None], middles, far[:, None]], dim=-1)
        finer = sample_importance(edges, weights, self.config.fine_samples, generator)
        samples = torch.cat([samples, finer], dim=-1).sort(dim=-1).values
        shown.append(self._show(self._fine, rays, condition, samples, far, generator, normals))
        return shown

    def _show(
        self,
        network: RadianceField,
        rays: Rays,
        condition: Any,
        samples: Float[Tensor, "rays samples"],
        far: Float[Tensor, " rays"],
        generator: torch.Generator | None,
        normals: bool,
    ) -> Shown:
        points, t_edges = self._points(rays, samples, far)
        noise = None
        if generator is not None and self.config.density_noise > 0:
            num_rays, count = samples.shape
            drawn = process_group.randn(num_rays, count, generator, samples.device)
            noise = self.config.density_noise * drawn
        with self._autocast(), torch.set_grad_enabled(generator is not None or normals):
            points.requires_grad_(normals)
            density, rgb = network(points, rays.directions[:, None], condition, noise)
            facing = None
            if normals:
                (gradient,) = torch.autograd.grad(density.sum(), points)
                facing = -F.normalize(gradient, dim=-1)
                density, rgb = density.detach(), rgb.detach()
        weights = ray_weights(density, t_edges)
        return Shown(accumulate(weights, rgb, t_edges[:, :-1], facing), points.detach(), weights)

    @torch.no_grad()
    def _weights(
        self, rays: Rays, condition: Any, samples: Tensor, far: Tensor
    ) -> Float[Tensor, "rays samples"]:
        points, t_edges = self._points(rays, samples, far)
        with self._autocast():
            return ray_weights(self._coarse.density(points, condition), t_edges)

    def _points(self, rays: Rays, samples: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        """Where the field is asked, and the edges from each sample to the next (eq. 3)."""
        t_edges = torch.cat([samples, far[:, None]], dim=-1)
        if self.unbounded:
            t_edges = from_spacing(t_edges, self._reach)
        points = rays.origins[:, None] + t_edges[:, :-1, None] * rays.directions[:, None]
        return points, t_edges

    def _limits(self, rays: Rays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """Where sampling begins and ends: distances, or their spacing in an unbounded scene."""
        if not self.unbounded:
            return intersect_box(rays.origins, rays.directions, self.bounds)
        ones = torch.ones_like(rays.origins[:, 0])
        return (
            to_spacing(_NEAREST * self._reach * ones, self._reach),
            to_spacing(_FARTHEST * self._reach * ones, self._reach),
        )

    def _background(self, num_rays: int, generator: torch.Generator) -> Float[Tensor, "#rays 3"]:
        if self.config.background == "random":
            return process_group.rand(num_rays, 3, generator, self.device)
        shade = 1.0 if self.config.background == "white" else 0.0
        return torch.full((1, 3), shade, device=self.device)

    def _autocast(self) -> torch.autocast:
        return mlp_autocast(self.device, self.config.bfloat16)


def _portions(rays: Rays) -> list[Rays]:
    return [rays[first : first + _POINTS_AT_ONCE] for first in range(0, len(rays), _POINTS_AT_ONCE)]
