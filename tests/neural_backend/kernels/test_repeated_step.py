# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neural_backend.kernels.repeated_step import RepeatedStep


class TapeDeck:
    """Stands in for CUDA's graphs: what is done while one is recorded is done again at a replay."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.registered: list[object] = []
        self.replays = 0
        self.recording = False

    def register_generator_state(self, generator: object) -> None:
        self.registered.append(generator)

    def replay(self) -> None:
        self.replays += 1

    @contextlib.contextmanager
    def graph(self, _graph: object) -> Any:
        if self.fault:
            raise self.fault
        self.recording = True
        yield
        self.recording = False


def put_in(monkeypatch, deck: TapeDeck) -> Any:
    """The deck in CUDA's place; returns a generator that seems to lie on a card."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: deck)
    monkeypatch.setattr(torch.cuda, "graph", deck.graph)
    return SimpleNamespace(device=torch.device("cuda"))


def test_on_a_cpu_the_work_is_done_at_each_call() -> None:
    calls: list[int] = []
    step = RepeatedStep(lambda: calls.append(1) or len(calls), torch.Generator())
    assert [step() for _ in range(6)] == [1, 2, 3, 4, 5, 6]


def test_on_cuda_the_work_is_recorded_once_and_replayed(monkeypatch) -> None:
    deck = TapeDeck()
    generator = put_in(monkeypatch, deck)
    recorded: list[bool] = []
    step = RepeatedStep(lambda: recorded.append(deck.recording) or "results", generator)
    assert [step() for _ in range(7)] == ["results"] * 7
    assert recorded == [False, False, False, True]
    assert deck.replays == 4  # each call from the fourth on, the recording itself does nothing
    assert deck.registered == [generator]


def test_work_that_cannot_be_recorded_goes_on_step_by_step_and_says_so(monkeypatch, caplog) -> None:
    generator = put_in(monkeypatch, TapeDeck(RuntimeError("a read-back\nof some kind")))
    calls: list[int] = []
    step = RepeatedStep(lambda: calls.append(1) or len(calls), generator)
    with caplog.at_level(logging.WARNING):
        assert [step() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert [record.message for record in caplog.records] == [
        "A training step cannot be recorded as a CUDA graph (a read-back), so its kernels are "
        "launched one by one, which is slower."
    ]


def test_full_memory_while_recording_is_left_to_the_training(monkeypatch) -> None:
    generator = put_in(monkeypatch, TapeDeck(torch.OutOfMemoryError("full")))
    step = RepeatedStep(lambda: None, generator)
    for _ in range(3):
        step()
    with pytest.raises(torch.OutOfMemoryError):
        step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_replayed_graph_draws_new_numbers_and_heeds_changed_tensors() -> None:
    generator = torch.Generator("cuda").manual_seed(1)
    scale, total = torch.ones((), device="cuda"), torch.zeros(4, device="cuda")

    def work() -> torch.Tensor:
        total.add_(1)
        return scale * torch.rand(4, device="cuda", generator=generator)

    step = RepeatedStep(work, generator)
    drawn = [step().clone() for _ in range(8)]
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 8
    scale.fill_(0)
    assert step().tolist() == [0, 0, 0, 0]
    assert total.tolist() == [9, 9, 9, 9]
