# SPDX-License-Identifier: GPL-3.0-or-later
"""Small configurations of every method, changed to the ends of their limits one at a time."""

import math
from dataclasses import replace
from typing import Any

import torch

from neural_backend.datasets.capture import distinct_times
from neural_backend.datasets.shape_set import ShapeSet
from neural_backend.methods.limits import Limits, limits_of
from neural_backend.methods.registry import METHODS, class_of, module_of
from neural_backend.methods.shape_base import Observation
from neural_backend.methods.shape_registry import SHAPE_METHODS
from neural_backend.training.trainer import TrainingProgress
from tests.moving_ball import BOUNDS, batches_at
from tests.simple_shapes import ball, measured

PLACES = {**METHODS, **SHAPE_METHODS}

_HASH_GRID = {
    "levels": 4, "log2_entries": 10, "finest": 32, "width": 16, "samples_per_step": 1024,
    "final_samples_per_step": 1024, "occupancy_resolution": 16, "occupancy_every": 1,
    "explore": 0.01, "surface": 0.3, "surface_from": 0.2,
}  # fmt: skip
_NETWORK = {"rays": 32, "coarse_samples": 6, "fine_samples": 6, "width": 16, "depth": 4}

SMALL: dict[str, dict[str, Any]] = {
    "voxel_grid": {
        "resolutions": (8, 12), "resolutions_unbounded": (8, 12), "rays": 64, "update_rays": 32,
        "smooth_every": 1, "prune_every": 1, "rays_per_voxel": 0.0, "surface": 0.3,
    },
    "instant_ngp": _HASH_GRID,
    "deformable_ngp": {
        **_HASH_GRID, "deformation_width": 16, "samples_per_step_unbounded": 1024,
        "final_samples_per_step_unbounded": 1024, "slices": 2,
    },
    "nerf": _NETWORK,
    "dnerf": {**_NETWORK, "deformation_width": 16, "deformation_depth": 3},
    "nerfies": {
        **_NETWORK, "deformation_width": 16, "deformation_depth": 3, "elastic_rays": 8,
        "background_points": 8,
    },
    "neural_sdf": {
        "levels": 3, "log2_entries": 8, "finest": 16, "width": 8, "surface": 16, "near": 16,
        "uniform": 16, "slopes": 8,
    },
    "deep_sdf": {
        "width": 8, "latent_dim": 4, "depth": 4, "near": 16, "uniform": 16, "fit_steps": 2,
        "fit_points": 16, "variants": 2,
    },
    "occupancy_network": {
        "width": 8, "latent_dim": 4, "encoder_width": 8, "blocks": 1, "near": 16, "uniform": 16,
        "cloud": 16, "fit_steps": 2, "shapes": 2,
    },
    "structured_implicit": {"elements": 4, "local_dim": 3, "uniform": 16, "near": 16},
}  # fmt: skip
"""Settings with which a step takes no time, on top of the draft preset."""

_WITH: dict[tuple[str, float], dict[str, Any]] = {
    ("coarsest", 2**15): {"finest": 2**15},
    ("finest", 1): {"coarsest": 1},
    ("finest", 2**15): {"levels": 2, "features_per_level": 2},
    ("surface_from", 1.0): {"surface_until": 1.0},
    ("surface_until", 0.0): {"surface_from": 0.0},
    ("levels", 1): {"features_per_level": 4},
    ("fourier_features", 4096): {"encoding": "fourier"},
    ("fourier_features", 1): {"encoding": "fourier"},
    ("fourier_scale", 1000.0): {"encoding": "fourier"},
    ("fourier_scale", 0.001): {"encoding": "fourier"},
    ("resolutions_unbounded", 1024): {"shell": 0.05},
}
"""What else a value at the end of its limits needs."""


def ends(limits: Limits) -> tuple[float, float]:
    """The smallest and the largest number allowed."""
    if limits.most < limits.below:
        return limits.least, limits.most
    return limits.least, math.nextafter(limits.below, 0)


def beyond(limits: Limits) -> list[float]:
    """Numbers of the same kind that are not allowed any more, and barely so."""
    if isinstance(limits.least, int):
        step = limits.multiple_of or 1
        inside = [limits.least + 1] if limits.multiple_of else []
        return [limits.least - step, int(limits.most) + step, *inside]
    above = math.nextafter(limits.most, math.inf) if limits.most < limits.below else limits.below
    return [math.nextafter(limits.least, -math.inf), above, math.nan, math.inf]


def fields_with_ends(method: str) -> list[tuple[str, float]]:
    """Each limited field of a method's configuration with each of its ends."""
    kind = type(module_of(PLACES[method]).PRESETS["draft"])
    return [(name, end) for name, limits in limits_of(kind).items() for end in ends(limits)]


def small_config(method: str, name: str, value: Any) -> Any:
    """A small configuration with one value at the end of its limits."""
    draft = module_of(PLACES[method]).PRESETS["draft"]
    whole = (value,) if isinstance(getattr(draft, name), tuple) else value
    changes = {**SMALL[method], **_WITH.get((name, value), {}), name: whole}
    return replace(draft, **{each: at for each, at in changes.items() if hasattr(draft, each)})


def losses(method: str, config: Any, unbounded: bool = False) -> list[float]:
    """Of some steps over a training; what was learned is looked at in between."""
    if method in SHAPE_METHODS:
        return _losses_of_shape(method, config)
    times = [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    batches = batches_at(times, size=8)
    built = class_of(METHODS[method])
    moving = {"times": distinct_times(batches.views)} if hasattr(built, "is_dynamic") else {}
    learned = built(
        config, BOUNDS, unbounded=unbounded, num_views=len(times), device=torch.device("cpu"),
        **moving,
    )  # fmt: skip
    learned.prepare(batches)
    found = _steps(learned, batches)
    rays = batches.rays(torch.arange(0, batches.num_pixels, 9)).rays
    shown = learned.render_rays(rays)
    numbers = [shown.rgb.sum(), shown.accumulation.sum()]
    points = rays.origins[:5] / 4
    numbers += [learned.density(points).sum(), learned.color(points, rays.directions[:5]).sum()]
    return [*found, *map(float, numbers)]


def _losses_of_shape(method: str, config: Any) -> list[float]:
    built = class_of(SHAPE_METHODS[method])
    shapes = ShapeSet([measured(ball(size), str(size), 64) for size in (0.4, 0.6)])
    if not built.is_family:
        shapes = ShapeSet([measured(ball(0.5), "ball", 64)])
    learned = built(config, shapes.bounds(), len(shapes), torch.device("cpu"))
    learned.prepare(shapes)
    found = _steps(learned, shapes)
    latent = None
    if built.is_family:
        seen = Observation.of_samples(measured(ball(0.5), "new", 64))
        latent = learned.fit_latent(seen, torch.Generator().manual_seed(0), steps=2)
    values = learned.isosurface(latent).signed(torch.rand(16, 3) - 0.5)
    return [*found, float(values.sum())]


def _steps(learned: Any, batches: Any) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    progress = [TrainingProgress(step, step / 4) for step in range(4)]
    return [float(learned.train_step(batches, at, generator)["loss"]) for at in progress]
