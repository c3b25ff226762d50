# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest method there can be: a box of one density and one color."""

import time
from dataclasses import dataclass

import torch

from neural_backend.geometry.rays import Rays, RenderedRays
from neural_backend.methods import registry
from neural_backend.training.trainer import TrainingProgress


@dataclass(frozen=True)
class TinyConfig:
    steps: int = 60
    batch: int = 128
    learning_rate: float = 0.05
    step_seconds: float = 0.0
    prepare_seconds: float = 0.0
    nan_at: int = -1
    crash_at: int = -1


PRESETS = {
    "draft": TinyConfig(steps=20),
    "standard": TinyConfig(),
    "final": TinyConfig(steps=200),
}


def register() -> None:
    """Makes the method known as `tiny` in this process."""
    registry.METHODS["tiny"] = f"{__name__}:TinyMethod"


class TinyMethod:
    name = "tiny"

    def __init__(self, config, bounds, unbounded, num_views, device):
        self.config, self.device, self._bounds = config, device, bounds.to(device)
        self.unbounded, self.num_views = unbounded, num_views
        self.values = torch.zeros(4, device=device, requires_grad=True)
        self.mean = torch.zeros(4, device=device)
        self.prepared = torch.zeros(1)

    def prepare(self, batches):
        time.sleep(self.config.prepare_seconds)
        self.prepared += 1

    def train_step(self, batches, progress: TrainingProgress, generator):
        time.sleep(self.config.step_seconds)
        if progress.step == self.config.crash_at:
            raise RuntimeError("the tiny method was told to crash")
        batch = batches.draw(self.config.batch, generator)
        background = torch.rand((len(batch.rays), 3), generator=generator).to(self.device)
        alpha = batch.rgba[:, 3:]
        truth = batch.rgba[:, :3] * alpha + (1 - alpha) * background
        rgb, accumulation = self._seen(batch.rays)
        loss = (rgb + (1 - accumulation)[:, None] * background - truth).square().mean()
        if progress.step == self.config.nan_at:
            loss = loss * float("nan")
        (gradient,) = torch.autograd.grad(loss, self.values)
        self.mean = 0.9 * self.mean + 0.1 * gradient
        with torch.no_grad():
            self.values -= self.config.learning_rate * self.mean / (self.mean.abs() + 1e-8)
        return {"loss": loss.detach()}

    def _seen(self, rays):
        corners = (self._bounds[:, None] - rays.origins) / (rays.directions + 1e-9)
        near = corners.amin(dim=0).amax(dim=-1).clamp_min(0)
        length = (corners.amax(dim=0).amin(dim=-1) - near).clamp_min(0)
        accumulation = 1 - torch.exp(-torch.nn.functional.softplus(self.values[3]) * length)
        return accumulation[:, None] * torch.sigmoid(self.values[:3]), accumulation

    @torch.no_grad()
    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        rgb, accumulation = self._seen(rays)
        depth = torch.where(accumulation > 0, rays.origins.norm(dim=-1), torch.inf)
        return RenderedRays(rgb, accumulation, depth, -rays.directions if normals else None)

    @torch.no_grad()
    def density(self, points):
        inside = ((points > self._bounds[0]) & (points < self._bounds[1])).all(dim=-1)
        return torch.nn.functional.softplus(self.values[3]) * inside

    @torch.no_grad()
    def color(self, points, directions):
        return torch.sigmoid(self.values[:3]).expand_as(points)

    @property
    def bounds(self):
        return self._bounds

    def state(self):
        return {"values": self.values.detach(), "mean": self.mean, "prepared": self.prepared}

    def load_state(self, state):
        if set(state) != set(self.state()):
            raise ValueError(f"expected {sorted(self.state())}, got {sorted(state)}")
        with torch.no_grad():
            self.values.copy_(state["values"])
        self.mean, self.prepared = state["mean"], state["prepared"].cpu()
