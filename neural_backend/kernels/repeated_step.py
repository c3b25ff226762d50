# SPDX-License-Identifier: GPL-3.0-or-later
"""The same work again and again: on CUDA one graph, launched at once, instead of many kernels."""

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

logger = logging.getLogger(__name__)

Results = TypeVar("Results")

_WARM_UPS = 3
"""Libraries choose and load their kernels at the first calls, which a graph must not record."""


class RepeatedStep(Generic[Results]):
    """Does `work` each time it is called, and returns its results.

    On CUDA the work is recorded after a few calls and replayed from then on: tensors that it reads
    must stay where they are, numbers that change must be tensors, and nothing may be read back.
    Results are then the same tensors every time, filled anew. `generator` is the one that the work
    draws from; it lies on the device.
    """

    def __init__(self, work: Callable[[], Results], generator: torch.Generator) -> None:
        self._work, self._generator = work, generator
        self._calls_to_wait = _WARM_UPS if generator.device.type == "cuda" else -1
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results: Results | None = None

    def __call__(self) -> Results:
        if self._graph is None and self._calls_to_wait == 0:
            self._record()
        if self._graph is not None:
            self._graph.replay()
            assert self._results is not None
            return self._results
        self._calls_to_wait -= 1
        return self._work() if self._calls_to_wait < 0 else self._warm_up()

    def _warm_up(self) -> Results:
        """The work on a stream aside, as torch asks for before it is recorded: gradients that once
        were added up on the stream of all would wait for it again.
        """
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            results = self._work()
        here.wait_stream(aside)
        return results

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            # The work is only noted down here: what it changes is as before if this fails.
            with torch.cuda.graph(graph):
                self._results = self._work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.warning(
                "A training step cannot be recorded as a CUDA graph (%s), so its kernels are "
                "launched one by one, which is slower.",
                str(error).splitlines()[0],
            )
            return
        self._graph = graph


class ScheduledStep(Generic[Results]):
    """A `RepeatedStep` that is told a few numbers anew at each call.

    The work finds them in a tensor on the device, which is filled without a wait. What else it
    depends on is its `kind`: for another one it is recorded anew.
    """

    def __init__(self, num_numbers: int, device: torch.device) -> None:
        self._numbers = torch.zeros(num_numbers, device=device)
        self._kind: Hashable = None
        self._step: RepeatedStep[Results] | None = None

    def __call__(
        self,
        work: Callable[[Float[Tensor, " numbers"]], Results],
        kind: Hashable,
        numbers: Sequence[float],
        generator: torch.Generator,
    ) -> Results:
        """The results of `work`, which draws from `generator` on the device, always the same."""
        self._numbers.copy_(torch.tensor(numbers), non_blocking=True)
        if self._step is None or self._kind != kind:
            self.forget()
            self._kind = kind
            self._step = RepeatedStep(lambda: work(self._numbers), generator)
        return self._step()

    def forget(self) -> None:
        """Lets go of what was recorded, and so of all memory that it read and wrote."""
        self._kind = self._step = None
