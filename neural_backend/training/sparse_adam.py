# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam without momentum, for tables of which a step touches few rows."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..kernels.memory import zeros
from ..kernels.threads import for_each
from ..kernels.triton_use import uses_triton

LANES = 16
"""Rows of a multiple of this many channels are updated by the CPU kernel, others by torch."""

_VECTOR = 16
"""Channels that the CPU kernel takes at a time."""


class SparseAdam:
    """Adam on the touched rows of a table; the others keep their values and squares.

    `values` are copied. `gradients` is a table for each thread that adds to it, `touched` marks
    rows with a gradient; both are cleared by `update`.

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    Differs: without momentum (β₁ = 0). A row's last gradients are of long ago, when all around it
        was otherwise; their mean led voxel grids astray by a decibel.
    """

    def __init__(
        self,
        values: Float[Tensor, "rows channels"],
        parts: int = 1,
        beta2: float = 0.999,
    ) -> None:
        self.beta2 = beta2
        # Counted on the device, if there is one: a step that is recorded for CUDA counts there.
        on_cpu = values.device.type == "cpu"
        self.steps: int | Tensor = (
            0 if on_cpu else torch.zeros((), dtype=torch.long, device=values.device)
        )
        rows, channels = values.shape
        # All that an update needs of a row lies together: a row is one place in memory, not many.
        self._table = zeros(rows, (2 + parts) * channels, like=values)
        by_kind = self._table.view(rows, 2 + parts, channels)
        self.values, self.squares = by_kind[:, :2].unbind(dim=1)
        self.gradients = by_kind[:, 2:].transpose(0, 1)
        self.values.copy_(values)
        marks = torch.zeros(-(-rows // 8) * 8, dtype=torch.uint8, device=values.device)
        self.touched = marks[:rows]
        self._marks = marks.view(torch.int64)
        """The same memory, read by eights."""

    def step(self, gradient: Float[Tensor, "rows channels"], rate: float | Tensor) -> None:
        """An update of all rows from a whole gradient."""
        self.gradients[0] = gradient
        self.touched.fill_(1)
        rates = self.values.new_ones(self.values.shape[1], dtype=torch.float64) * rate
        self.update(rates, 1.0)

    def smooth(
        self,
        cells: Int[Tensor, " rows"],
        index: Int[Tensor, "x y z"],
        strides: tuple[int, ...],
        shares: Float[Tensor, " channels"],
    ) -> None:
        """Draws every row to the mean of its neighbours in a grid, by `shares` of the way.

        Source: Fridovich-Keil et al. 2022, "Plenoxels", sec. 3.4 (total variation); Loshchilov and
            Hutter 2019, "Decoupled weight decay regularization" (apart from the gradients).
        Differs: not a loss. Adam steps as far for a small slope as for a large one, so a loss would
            move what no ray has seen as fast as what many have.
        """
        out = zeros(*self.values.shape, like=self.values)
        if self.values.device.type != "cpu":
            found = torch.zeros(len(out), 1, device=out.device)
            for stride in strides:
                other = index.view(-1)[cells.long() + stride].long()
                stored = (other >= 0)[:, None]
                found += stored
                out += (self.values[other.clamp(min=0)] - self.values) * stored
            self.values += shares.to(out) * out / found.clamp(min=1)
            return
        from ..kernels.sparse_adam_numba import smooth

        arrays = (
            self.values.numpy(), cells.numpy(), index.numpy().reshape(-1), np.array(strides),
            shares.numpy().astype(np.float32), out.numpy(),
        )  # fmt: skip
        self._spread(len(out), lambda first, last: smooth(first, last, *arrays))
        self.values.copy_(out)

    def update(self, rates: Float[Tensor, " channels"], scale: float) -> None:
        """Moves the touched rows by their gradient times `scale`, with a rate for each channel."""
        self.steps += 1
        correct = 1 / (1 - self.beta2**self.steps)
        if uses_triton(self.values) and len(self.gradients) == 1:
            from ..kernels import sparse_adam_triton

            given = self._table, self.touched, rates.to(self.values)
            sparse_adam_triton.update(*given, self.beta2, correct, scale)
            return
        # Numba's kernel works on whole vectors: on narrower rows it would write past their ends.
        if self.values.device.type != "cpu" or self.values.shape[1] % _VECTOR:
            self._update_by_torch(rates.to(self.values), correct, scale)
            return
        from ..kernels.sparse_adam_numba import update

        arrays = (
            self._table.numpy(), self.touched.numpy(), self._marks.numpy(),
            rates.numpy().astype(np.float32),
            *map(np.float32, (self.beta2, correct, scale)),
        )  # fmt: skip
        self._spread(len(self._marks), lambda first, last: update(first, last, *arrays))

    def state(self, channels: int | None = None) -> dict[str, Tensor]:
        """Values, squares and the number of steps; of the first `channels` alone where given.

        The tables are the optimiser's own: a copy of a fine grid's would not fit into memory beside
        it. Copy them to compare them with what later steps make of them.
        """
        tables = {"values": self.values, "squares": self.squares}
        parts = {name: table[:, :channels] for name, table in tables.items()}
        return {**parts, "steps": torch.as_tensor(self.steps).clone()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned."""
        for name in ("values", "squares"):
            getattr(self, name)[:, : state[name].shape[1]].copy_(state[name])
        if isinstance(self.steps, Tensor):
            self.steps.copy_(state["steps"])
        else:
            self.steps = int(state["steps"])

    def _spread(self, count: int, task: Callable[[int, int], None]) -> None:
        """Does 0 … count in as many spans as there are tables of gradients."""
        parts = self.gradients.shape[0]
        for_each(lambda part: task(part * count // parts, (part + 1) * count // parts), parts)

    def _update_by_torch(self, rates: Tensor, correct: float | Tensor, scale: float) -> None:
        touched = self.touched.bool()[:, None]
        gradient = self.gradients.sum(dim=0) * scale
        squares = self.beta2 * self.squares + (1 - self.beta2) * gradient.square()
        torch.where(touched, squares, self.squares, out=self.squares)
        change = rates * gradient / ((squares * correct).sqrt() + 1e-8)
        self.values -= torch.where(touched, change, 0.0)
        self.gradients.zero_()
        self.touched.zero_()
