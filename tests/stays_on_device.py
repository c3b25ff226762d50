# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether work could be recorded as a graph of CUDA's, asked on a CPU."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.kernels import hash_grid, hash_grid_reference
from neural_backend.methods.hash_grid_method import HashGridMethod, StepTime

_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique")
_SENDS = ("lift_fresh",)


class StaysOnTheDevice(TorchDispatchMode):
    """Fails where numbers are read back from tensors, or sent to where tensors lie.

    On a CPU tensors that are made there to be sent are not told from others. With a `device` that
    stands in for a card, as torch's meta device, all that are made or used elsewhere fail.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = str(function)
        assert not any(part in name for part in (*_WAITS, *_SENDS)), name
        if name.startswith(("aten.index.Tensor", "aten.index_put")):
            masks = [part for part in arguments[1] if part is not None and part.dtype == torch.bool]
            assert not masks, f"{name} by a mask"
        # Torch has no Adam for its meta device, where it would change nothing.
        is_adam = name.startswith("aten._fused_adam_") and self.device == torch.device("meta")
        results = None if is_adam else function(*arguments, **(named or {}))
        for tensor in _tensors((arguments, named, results)):
            assert self.device in (None, tensor.device), f"{name} on the {tensor.device}"
        return results


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))


def step_on_the_device(
    method: HashGridMethod, batches: RayBatches, generator: torch.Generator
) -> torch.Tensor:
    """The loss of a step that is told the time as a recorded one is."""
    now = StepTime(torch.tensor(0.01), torch.tensor(2.0), torch.tensor(0.1))
    with StaysOnTheDevice():
        loss = method._draw_and_learn(batches, 64, now, generator).loss
    assert isinstance(loss, torch.Tensor)
    return loss


def encode_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the twin in plain torch stand in for the hash grid's kernels."""

    def encode(points, table, layout):
        return hash_grid_reference.encode(points, table, layout.resolutions, layout.offsets)

    monkeypatch.setattr(hash_grid, "_NumbaHashEncode", SimpleNamespace(apply=encode))
