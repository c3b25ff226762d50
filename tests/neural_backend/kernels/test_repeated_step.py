# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import logging
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neural_backend.kernels.repeated_step import RepeatedStep, ScheduledStep


class TapeDeck:
    """Stands in for CUDA's graphs: what is done while one is recorded is done again at a replay."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.registered: list[object] = []
        self.replays = 0
        self.recording = self.aside = False

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

    @contextlib.contextmanager
    def stream(self, _stream: object) -> Any:
        self.aside = True
        yield
        self.aside = False


def put_in(monkeypatch, deck: TapeDeck) -> Any:
    """The deck in CUDA's place; returns a generator that seems to lie on a card."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: deck)
    for name in ("graph", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(deck, name))
    for name in ("Stream", "current_stream"):
        stream = SimpleNamespace(wait_stream=lambda _: None)
        monkeypatch.setattr(torch.cuda, name, lambda stream=stream: stream)
    return SimpleNamespace(device=torch.device("cuda"))


def test_on_a_cpu_the_work_is_done_at_each_call() -> None:
    calls: list[int] = []
    step = RepeatedStep(lambda: calls.append(1) or len(calls), torch.Generator())
    assert [step() for _ in range(6)] == [1, 2, 3, 4, 5, 6]


def test_on_cuda_the_work_is_recorded_once_and_replayed(monkeypatch) -> None:
    deck = TapeDeck()
    generator = put_in(monkeypatch, deck)
    done: list[tuple[bool, bool]] = []
    step = RepeatedStep(lambda: done.append((deck.aside, deck.recording)) or "results", generator)
    assert [step() for _ in range(7)] == ["results"] * 7
    assert done == [*[(True, False)] * 3, (False, True)]
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


def test_a_scheduled_step_is_told_its_numbers_and_recorded_anew_for_another_kind(
    monkeypatch,
) -> None:
    deck = TapeDeck()
    generator = put_in(monkeypatch, deck)
    step, done = ScheduledStep(2, torch.device("cpu")), []
    places = set()

    def work(numbers: torch.Tensor) -> torch.Tensor:
        done.append(tuple(numbers.tolist()))
        places.add(numbers.data_ptr())
        return numbers

    told = [step(work, kind, (at, 0.5), generator).tolist() for at, kind in enumerate("aaaaaba")]
    # What is replayed finds its numbers where it found them when it was recorded.
    assert told == [[at, 0.5] for at in range(7)]
    assert [int(number) for number, _ in done] == [0, 1, 2, 3, 5, 6]
    assert len(places) == 1
    assert deck.replays == 2


def test_a_scheduled_step_that_forgets_keeps_nothing_of_what_it_did() -> None:
    class Table:
        pass

    step, table = ScheduledStep(1, torch.device("cpu")), Table()
    there = weakref.ref(table)
    step(lambda _, held=table: held, "kind", [0.0], torch.Generator())
    del table
    assert there() is not None
    step.forget()
    assert there() is None


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
