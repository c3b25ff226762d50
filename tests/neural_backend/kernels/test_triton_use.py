# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.kernels import triton_use
from neural_backend.kernels.triton_use import has_triton, uses_triton, what_triton_lacks
from neural_backend.protocol.errors import JobError


class Starter:
    """Stands in for the start of Triton and counts how often it is asked for."""

    def __init__(self, fault: JobError | None = None) -> None:
        self.fault, self.calls = fault, 0

    def __call__(self) -> None:
        self.calls += 1
        if self.fault is not None:
            raise self.fault


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.delenv("NEURAL_FIELDS_TRITON", raising=False)
    what_triton_lacks.cache_clear()
    yield
    what_triton_lacks.cache_clear()


def test_triton_is_started_once(monkeypatch):
    starter = Starter()
    monkeypatch.setattr(triton_use, "start_triton", starter)
    assert [has_triton() for _ in range(3)] == [True] * 3
    assert starter.calls == 1


def test_without_triton_one_line_says_what_is_lacking_what_is_lost_and_what_helps(
    monkeypatch, caplog
):
    starter = Starter(JobError("There is no compiler.", "Install one."))
    monkeypatch.setattr(triton_use, "start_triton", starter)
    assert [has_triton() for _ in range(3)] == [False] * 3
    (record,) = caplog.records
    line = record.getMessage()
    assert record.levelname == "WARNING"
    assert line.startswith("There is no compiler. ")
    assert "learns several times as slowly" in line
    assert line.endswith(" Install one.")
    assert what_triton_lacks() == line
    assert "\n" not in line


def test_a_variable_keeps_triton_from_being_started_at_all(monkeypatch, caplog):
    starter = Starter()
    monkeypatch.setattr(triton_use, "start_triton", starter)
    monkeypatch.setenv("NEURAL_FIELDS_TRITON", "0")
    assert not has_triton()
    assert starter.calls == 0
    assert not caplog.records


def test_on_a_cpu_nobody_asks_for_triton(monkeypatch):
    starter = Starter()
    monkeypatch.setattr(triton_use, "start_triton", starter)
    assert not uses_triton(torch.zeros(1))
    assert starter.calls == 0
