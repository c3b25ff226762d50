# SPDX-License-Identifier: GPL-3.0-or-later
"""The method of a run, with what it has learned."""

from dataclasses import dataclass

import torch

from ..methods.base import Method
from ..methods.configuration import config_from_dict
from ..methods.registry import MethodRecipe, build_method
from ..protocol.errors import JobError
from ..training.checkpoint import Checkpoint, last_checkpoint, load_checkpoint
from .run_folder import RunFolder


@dataclass
class _Resident:
    """The method used last: the next job of a worker most often asks for the same one."""

    key: tuple[str, str, str] | None = None
    method: Method | None = None


_resident = _Resident()


def load_method(run: RunFolder, device: torch.device) -> Method:
    """The run's method as its last checkpoint holds it; the one used last is not read again.

    Raises:
        JobError: where there is no checkpoint, or it does not fit this version.
    """
    key = _key(run, device)
    if key == _resident.key and _resident.method is not None:
        return _resident.method
    forget_method()
    method = restore_method(load_checkpoint(run.checkpoints), device)
    _resident.key, _resident.method = key, method
    return method


def keep_method(run: RunFolder, method: Method, device: torch.device) -> None:
    """Makes a method that was just saved the one that `load_method` returns for `run`."""
    _resident.key, _resident.method = _key(run, device), method


def forget_method() -> None:
    """Frees the memory of the method used last."""
    _resident.key = _resident.method = None


def restore_method(checkpoint: Checkpoint, device: torch.device) -> Method:
    """A method with the state of a checkpoint. Raises JobError where they do not fit."""
    recipe = config_from_dict(MethodRecipe, checkpoint.config)
    method = build_method(recipe, device)
    try:
        method.load_state({name: tensor.to(device) for name, tensor in checkpoint.state.items()})
    except ValueError as error:
        raise JobError(
            f"The checkpoint {checkpoint.name} does not fit {recipe.method}: {error}.",
            "It was written by another version; train again.",
        ) from error
    return method


def _key(run: RunFolder, device: torch.device) -> tuple[str, str, str]:
    return str(run.path.resolve()), last_checkpoint(run.checkpoints), str(device)
