# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods that learn shapes, by name. Adding one is a line here, as in `registry`."""

from dataclasses import dataclass
from typing import Any

import torch

from ..protocol.errors import JobError
from .registry import METHODS, class_of, config_of_preset, stored_config
from .shape_base import ShapeMethod

SHAPE_METHODS: dict[str, str] = {
    "neural_sdf": ".neural_sdf:NeuralSDF",
    "deep_sdf": ".deep_sdf:DeepSDF",
    "occupancy_network": ".occupancy_network:OccupancyNetwork",
    "structured_implicit": ".structured_implicit:StructuredImplicit",
}
"""Name to `module:Class`. The module also has `PRESETS`: draft, standard and final."""


@dataclass(frozen=True, kw_only=True)
class ShapeRecipe:
    """Everything that a method is built from, as JSON values; saved beside what it learned.

    `bounds` are in the unit frame. Of each shape there are a name, the center and scale of its
    unit frame in the scene, and the numbers of vertices and faces that it had.
    """

    method: str
    config: dict[str, Any]
    bounds: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    centers: tuple[tuple[float, ...], ...]
    scales: tuple[float, ...]
    mesh_sizes: tuple[tuple[int, ...], ...]


def resolve_shape_method(method: str, num_shapes: int) -> str:
    """The name of the method that `auto` stands for, or `method` itself.

    Raises:
        JobError: where there is no such method, or it cannot learn that many shapes.
    """
    if method == "auto":
        return "neural_sdf" if num_shapes == 1 else "deep_sdf"
    if method not in SHAPE_METHODS:
        known = f"The methods for shapes are auto, {', '.join(SHAPE_METHODS)}."
        if method in METHODS:
            raise JobError(f"{method} learns from pictures, not from meshes.", known)
        raise JobError(f"There is no method {method!r}.", known)
    if num_shapes > 1 and not class_of(SHAPE_METHODS[method]).is_family:
        families = [name for name, place in SHAPE_METHODS.items() if class_of(place).is_family]
        raise JobError(
            f"{method} learns one shape, not {num_shapes}.",
            f"Choose one mesh, or a method for families: {', '.join(families)}.",
        )
    return method


def shape_config(method: str, preset: str, settings: tuple[str, ...] = ()) -> Any:
    """The configuration of a quality preset, with changes written as `name=value`.

    Raises:
        JobError: where there is no such preset or setting.
    """
    return config_of_preset(SHAPE_METHODS[method], method, preset, settings)


def build_shape_method(recipe: ShapeRecipe, device: torch.device, seed: int = 0) -> ShapeMethod:
    """An untrained method. Raises JobError where the recipe is of another version's method."""
    if recipe.method not in SHAPE_METHODS:
        raise JobError(f"There is no method {recipe.method!r}.", "Update Neural Fields.")
    place = SHAPE_METHODS[recipe.method]
    try:
        return class_of(place)(
            stored_config(place, recipe.config),
            bounds=torch.tensor(recipe.bounds, dtype=torch.float32),
            num_shapes=len(recipe.names),
            device=device,
            seed=seed,
        )
    except ValueError as error:
        raise JobError(
            f"{recipe.method} cannot be built with these settings: {error}.", "Change the settings."
        ) from error
