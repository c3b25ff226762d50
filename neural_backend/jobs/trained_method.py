# SPDX-License-Identifier: GPL-3.0-or-later
"""The method of a run, with what it has learned."""

from dataclasses import dataclass

import torch

from ..methods.base import Method
from ..methods.configuration import config_from_dict
from ..methods.registry import MethodRecipe, build_method
from ..methods.shape_base import ShapeMethod
from ..methods.shape_registry import SHAPE_METHODS, ShapeRecipe, build_shape_method
from ..protocol.errors import JobError
from ..training.checkpoint import Checkpoint, load_checkpoint
from .resident_methods import ResidentMethods, key_of
from .run_folder import RunFolder


@dataclass(frozen=True)
class LearnedShapes:
    """A method that learned shapes, and what it was built from."""

    method: ShapeMethod
    recipe: ShapeRecipe


_resident = ResidentMethods()


def load_method(run: RunFolder, device: torch.device) -> Method:
    """The run's method as its last checkpoint holds it; those used last are not read again.

    Raises:
        JobError: where there is no checkpoint, it does not fit this version, or it is of shapes.
    """
    if learned_shapes(run):
        raise JobError(
            f"{run.path} learned shapes from meshes: there are no colours to show.",
            "Extract a mesh, or choose the run of a capture.",
        )
    return _resident.get(
        run, device, lambda: restore_method(load_checkpoint(run.checkpoints), device)
    )


def load_shapes(run: RunFolder, device: torch.device) -> LearnedShapes:
    """The same for a run that learned shapes.

    Raises:
        JobError: where there is no checkpoint, it does not fit this version, or it is of a capture.
    """
    if not learned_shapes(run):
        raise JobError(
            f"{run.path} learned no shapes.", "Choose a run folder that was fitted to meshes."
        )
    return _resident.get(
        run, device, lambda: restore_shapes(load_checkpoint(run.checkpoints), device)
    )


def learned_shapes(run: RunFolder) -> bool:
    """Whether a run learned shapes rather than a capture."""
    return run.read_record().method in SHAPE_METHODS


def keep_method(run: RunFolder, method: Method | LearnedShapes, device: torch.device) -> None:
    """Makes what was just saved the one that is returned for `run`."""
    _resident.keep(key_of(run, device), method)


def forget_methods() -> int:
    """Frees the memory of the methods used last; returns how many there were."""
    return _resident.release()


def restore_method(checkpoint: Checkpoint, device: torch.device) -> Method:
    """A method with the state of a checkpoint. Raises JobError where they do not fit."""
    recipe = config_from_dict(MethodRecipe, checkpoint.config)
    method = build_method(recipe, device)
    _load_state(method, recipe.method, checkpoint, device)
    return method


def restore_shapes(checkpoint: Checkpoint, device: torch.device) -> LearnedShapes:
    """Learned shapes with the state of a checkpoint. Raises JobError where they do not fit."""
    recipe = config_from_dict(ShapeRecipe, checkpoint.config)
    method = build_shape_method(recipe, device)
    _load_state(method, recipe.method, checkpoint, device)
    return LearnedShapes(method, recipe)


def _load_state(
    method: Method | ShapeMethod, name: str, checkpoint: Checkpoint, device: torch.device
) -> None:
    try:
        method.load_state({key: tensor.to(device) for key, tensor in checkpoint.state.items()})
    except ValueError as error:
        raise JobError(
            f"The checkpoint {checkpoint.name} does not fit {name}: {error}.",
            "It was written by another version; train again.",
        ) from error
