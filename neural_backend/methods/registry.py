# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods there are, by name. Adding one is a line here; each is imported when first used."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from ..protocol.errors import JobError
from .base import Method
from .configuration import apply_settings, config_from_dict, for_case

METHODS: dict[str, str] = {
    "voxel_grid": ".voxel_grid:VoxelGrid",
    "instant_ngp": ".instant_ngp:InstantNGP",
    "nerf": ".nerf:NeRF",
    "dnerf": ".dnerf:DNeRF",
    "nerfies": ".nerfies:Nerfies",
    "deformable_ngp": ".deformable_ngp:DeformableNGP",
}
"""Name to `module:Class`. The module also has `PRESETS`: draft, standard and final; and `SURFACES`,
the settings by which it learns surfaces, where it can.
"""


AUTO_ON_CPU = {"bounded": "voxel_grid", "unbounded": "instant_ngp"}
AUTO_FOR_MOTION = "deformable_ngp"


@dataclass(frozen=True, kw_only=True)
class MethodRecipe:
    """Everything that a method is built from, as JSON values; saved beside what it learned."""

    method: str
    config: dict[str, Any]
    bounds: tuple[tuple[float, ...], ...]
    unbounded: bool
    num_views: int
    times: tuple[float, ...] = ()
    """The distinct times of the training views in rising order; empty where nothing moves."""


def resolve_method(
    method: str, device: torch.device, unbounded: bool, dynamic: bool = False
) -> str:
    """The name of the method that `auto` stands for, or `method` itself.

    `dynamic` says that the capture's pictures have different times.

    Raises:
        JobError: where there is no such method.
    """
    if method == "auto":
        if dynamic:
            return AUTO_FOR_MOTION
        if device.type == "cuda":
            return "instant_ngp"
        return AUTO_ON_CPU["unbounded" if unbounded else "bounded"]
    if method not in METHODS:
        raise JobError(
            f"There is no method {method!r}.", f"The methods are auto, {', '.join(METHODS)}."
        )
    return method


def method_config(
    method: str,
    preset: str,
    settings: tuple[str, ...] = (),
    surfaces: bool = False,
    device: str = "cpu",
) -> Any:
    """The configuration of a quality preset, with changes written as `name=value`; `surfaces` is
    for those that have the method learn surfaces rather than fog. What ends in `_cuda` takes the
    place of what is called so without it on that `device`.

    Raises:
        JobError: where there is no such preset or setting, or the method cannot learn surfaces.
    """
    if surfaces:
        settings = (*_surface_settings(method), *settings)
    return config_of_preset(METHODS[method], method, preset, settings, device)


def _surface_settings(method: str) -> tuple[str, ...]:
    settings = getattr(module_of(METHODS[method]), "SURFACES", None)
    if settings is None:
        able = [name for name in METHODS if hasattr(module_of(METHODS[name]), "SURFACES")]
        raise JobError(
            f"{method} cannot learn surfaces.", f"Choose {' or '.join(able)}, or do without."
        )
    return settings


def config_of_preset(
    place: str, method: str, preset: str, settings: tuple[str, ...] = (), device: str = "cpu"
) -> Any:
    """As `method_config`, for the method at `place`, `module:Class`, of any registry."""
    presets = module_of(place).PRESETS
    if preset not in presets:
        raise JobError(
            f"{method} has no preset {preset!r}.", f"Its presets are {', '.join(presets)}."
        )
    return apply_settings(for_case(presets[preset], device), settings)


def build_method(recipe: MethodRecipe, device: torch.device) -> Method:
    """An untrained method. Raises JobError where the recipe is of another version's method."""
    if recipe.method not in METHODS:
        raise JobError(f"There is no method {recipe.method!r}.", "Update Neural Fields.")
    place = METHODS[recipe.method]
    dynamic = {"times": recipe.times} if getattr(class_of(place), "is_dynamic", False) else {}
    return class_of(place)(
        stored_config(place, recipe.config),
        bounds=torch.tensor(recipe.bounds, dtype=torch.float32),
        unbounded=recipe.unbounded,
        num_views=recipe.num_views,
        device=device,
        **dynamic,
    )


def stored_config(place: str, values: dict[str, Any]) -> Any:
    """The configuration in a recipe of the method at `place`, `module:Class`."""
    return config_from_dict(type(module_of(place).PRESETS["standard"]), values)


def module_of(place: str) -> Any:
    return import_module(place.partition(":")[0], package=__package__)


def class_of(place: str) -> Any:
    return getattr(module_of(place), place.partition(":")[2])
