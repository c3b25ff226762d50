# SPDX-License-Identifier: GPL-3.0-or-later
"""NeRF as it was published: a coarse and a fine MLP, and every part that can be switched off."""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.ray_batches import RayBatches
from ..fields.nerf import DensityActivation, Encoding, NeRFField
from ..geometry.boxes import inside_box, intersect_box
from ..geometry.rays import Rays, RenderedRays
from ..networks.precision import mlp_autocast
from ..rendering.volume import accumulate, ray_weights
from ..sampling.importance import sample_importance
from ..sampling.stratified import from_spacing, generator_for, sample_stratified, to_spacing
from ..training.losses import over_background, pictures_over_background, squared_error
from .base import TrainingProgress

Background = Literal["white", "black", "random"]

_POINTS_AT_ONCE = 2**18
_NEAREST, _FARTHEST = 0.05, 1000.0
"""Range of unbounded rays, in half sides of the bounds."""
_MOST_PIXELS_TRIMMED = 2**26
"""A list of more pixels than this takes more memory than it saves time."""
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True)
class NeRFConfig:
    """How the field is built and trained; the defaults are the paper's.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.3 (rays, samples, learning rates, steps: "100 to
        300 thousand"), fig. 7 (width, depth), sec. 5.1 (frequencies), appendix A (white
        background, density noise: 1 for real scenes, 0 for synthetic ones).
    Differs: without `hierarchical` there is one network with `coarse_samples`; for as many
        evaluations as the complete method's, which the paper's ablation has, set them to
        2 · `coarse_samples` + `fine_samples`. `fourier_*` are for `encoding` "fourier" only;
        `fourier_scale` is in periods per half side of the bounds.
    """

    steps: int = 200_000
    rays: int = 4096
    coarse_samples: int = 64
    fine_samples: int = 128
    hierarchical: bool = True
    width: int = 256
    depth: int = 8
    encoding: Encoding = "positional"
    position_frequencies: int = 10
    direction_frequencies: int = 4
    fourier_features: int = 256
    fourier_scale: float = 4.0
    view_dependence: bool = True
    density_activation: DensityActivation = "relu"
    density_noise: float = 0.0
    background: Background = "white"
    learning_rate: float = 5e-4
    final_learning_rate: float = 5e-5
    bfloat16: bool = True


PRESETS: dict[str, NeRFConfig] = {
    "draft": NeRFConfig(
        steps=1500,
        rays=512,
        coarse_samples=24,
        fine_samples=24,
        width=64,
        depth=4,
        position_frequencies=6,
        direction_frequencies=2,
        density_activation="softplus",
        background="random",
        learning_rate=5e-3,
        final_learning_rate=5e-4,
    ),
    "standard": NeRFConfig(
        steps=5000,
        rays=1024,
        coarse_samples=32,
        fine_samples=48,
        width=96,
        depth=6,
        position_frequencies=8,
        density_activation="softplus",
        background="random",
        learning_rate=2e-3,
        final_learning_rate=1e-4,
    ),
    "final": NeRFConfig(),
}
"""Minutes on two CPU cores, most of an hour on them, and the paper, which needs a GPU."""


class NeRF:
    """Learns a coarse and a fine field from rays.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.
    Differs: each ray is sampled where it crosses the bounds, and what it does not meet there stays
        transparent (the authors' program lets the last sample reach to infinity). Unbounded scenes
        are contracted and sampled evenly near, evenly in 1/distance far away, instead of warped to
        normalised device coordinates, which only suit cameras that face one way. Products run in
        bfloat16 where that is fast.
    """

    name: ClassVar[str] = "nerf"

    def __init__(
        self,
        config: NeRFConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.unbounded = unbounded
        self.device = torch.device(device)
        generator = torch.Generator().manual_seed(seed)
        names = ("coarse", "fine") if config.hierarchical else ("coarse",)
        self.fields = nn.ModuleDict(
            {name: _make_field(config, bounds, unbounded, generator) for name in names}
        ).to(self.device)
        self._trimmed: RayBatches | None = None
        self._reach = float((bounds[1] - bounds[0]).max()) / 2
        self._optimizer = _make_optimizer(self.fields, config.learning_rate)

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self._field.bounds

    @property
    def _field(self) -> NeRFField:
        """The network that is shown."""
        return self._network("fine" if self.config.hierarchical else "coarse")

    def _network(self, name: str) -> NeRFField:
        return cast(NeRFField, self.fields[name])

    def prepare(self, batches: RayBatches) -> None:
        """There is nothing to prepare: what a resumed training needs too is done in its steps."""

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the squared errors of both networks (eq. 6); `mse` is the last one's."""
        self._leave_out_misses(batches)
        batch = batches.draw(self.config.rays, generator)
        rays, rgba = batch.rays.to(self.device), batch.rgba.to(self.device)
        random = generator_for(self.device, generator)
        background = self._background(len(rays), random)
        target = pictures_over_background(rgba, background)
        errors = [
            squared_error(over_background(rendered, background), target)
            for rendered in self._march(rays, random)
        ]
        start, end = self.config.learning_rate, self.config.final_learning_rate
        for group in self._optimizer.param_groups:
            group["lr"] = start * (end / start) ** progress.fraction
        loss = torch.stack(errors).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return {"loss": loss.detach(), "mse": errors[-1].detach()}

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
                rendered = self._march(rays[chosen], None, normals)[-1]
                for name, values in shown.items():
                    values[chosen] = getattr(rendered, name)
        return RenderedRays(**shown)

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit; passes gradients on where `points` ask for them."""
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and points.requires_grad),
            self._autocast(),
        ):
            parts = [self._field.density(part) for part in points.split(_POINTS_AT_ONCE)]
        density = torch.cat(parts) if parts else points.new_zeros(0)
        return density if self.unbounded else density * inside_box(points, self.bounds)

    @torch.no_grad()
    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        pairs = zip(points.split(_POINTS_AT_ONCE), directions.split(_POINTS_AT_ONCE), strict=True)
        with self._autocast():
            parts = [self._field(*pair)[1] for pair in pairs]
        return torch.cat(parts) if parts else points.new_zeros(0, 3)

    def state(self) -> dict[str, Tensor]:
        """Copies of both networks and of Adam's moments."""
        return {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        tensors = self._tensors()
        if tensors.keys() != state.keys():
            different = sorted(tensors.keys() ^ state.keys())
            raise ValueError(f"expected the tensors of a {self.name} state, differing: {different}")
        for name, tensor in tensors.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"expected shape {tuple(tensor.shape)} for {name}, "
                    f"got {tuple(state[name].shape)}"
                )
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(state[name])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"fields.{name}": value for name, value in self.fields.state_dict().items()}
        for name, parameter in self.fields.named_parameters():
            for moment in _MOMENTS:
                tensors[f"adam.{name}.{moment}"] = self._optimizer.state[parameter][moment]
        return tensors

    def _march(
        self, rays: Rays, generator: torch.Generator | None, normals: bool = False
    ) -> list[RenderedRays]:
        """What each network shows; without a `generator` only the last one's, without jitter."""
        near, far = self._limits(rays)
        samples = sample_stratified(near, far, self.config.coarse_samples, generator)
        shown = []
        if generator is not None or not self.config.hierarchical:
            rendered, weights = self._show(
                self._network("coarse"), rays, samples, far, generator, normals
            )
            shown.append(rendered)
        else:
            weights = self._weights(self._network("coarse"), rays, samples, far)
        if self.config.hierarchical:
            # Bins around the samples: one that met a surface met it anywhere up to its neighbours.
            middles = (samples[:, 1:] + samples[:, :-1]) / 2
            edges = torch.cat([near[:, None], middles, far[:, None]], dim=-1)
            finer = sample_importance(edges, weights.detach(), self.config.fine_samples, generator)
            samples = torch.cat([samples, finer], dim=-1).sort(dim=-1).values
            shown.append(
                self._show(self._network("fine"), rays, samples, far, generator, normals)[0]
            )
        return shown

    def _show(
        self,
        field: NeRFField,
        rays: Rays,
        samples: Float[Tensor, "rays samples"],
        far: Float[Tensor, " rays"],
        generator: torch.Generator | None,
        normals: bool,
    ) -> tuple[RenderedRays, Float[Tensor, "rays samples"]]:
        points, t_edges = self._points(rays, samples, far)
        noise = None
        if generator is not None and self.config.density_noise > 0:
            noise = self.config.density_noise * torch.randn(
                samples.shape, generator=generator, device=samples.device
            )
        with self._autocast(), torch.set_grad_enabled(generator is not None or normals):
            points.requires_grad_(normals)
            density, rgb = field(points, rays.directions[:, None], density_noise=noise)
            facing = None
            if normals:
                (gradient,) = torch.autograd.grad(density.sum(), points)
                facing = -F.normalize(gradient, dim=-1)
                density, rgb = density.detach(), rgb.detach()
        weights = ray_weights(density, t_edges)
        return accumulate(weights, rgb, t_edges[:, :-1], facing), weights

    def _weights(
        self, field: NeRFField, rays: Rays, samples: Tensor, far: Tensor
    ) -> Float[Tensor, "rays samples"]:
        points, t_edges = self._points(rays, samples, far)
        with self._autocast():
            return ray_weights(field.density(points), t_edges)

    def _points(self, rays: Rays, samples: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        """Where the field is asked, and the edges from each sample to the next (eq. 3)."""
        t_edges = torch.cat([samples, far[:, None]], dim=-1)
        if self.unbounded:
            t_edges = from_spacing(t_edges, self._reach)
        points = rays.origins[:, None] + t_edges[:, :-1, None] * rays.directions[:, None]
        return points, t_edges

    def _leave_out_misses(self, batches: RayBatches) -> None:
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
            return torch.rand(num_rays, 3, generator=generator, device=self.device)
        shade = 1.0 if self.config.background == "white" else 0.0
        return torch.full((1, 3), shade, device=self.device)

    def _autocast(self) -> torch.autocast:
        return mlp_autocast(self.device, self.config.bfloat16)


def _make_field(
    config: NeRFConfig, bounds: Tensor, unbounded: bool, generator: torch.Generator
) -> NeRFField:
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
        generator=generator,
    )


def _make_optimizer(fields: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam with the paper's constants, its moments there from the start so that states are alike.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.3.
    """
    parameters = list(fields.parameters())
    optimizer = torch.optim.Adam(
        parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-7, fused=True
    )
    for parameter in parameters:
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer
