# SPDX-License-Identifier: GPL-3.0-or-later
import os
import shutil
from pathlib import Path

import pytest
import torch

from neural_backend.jobs import resident_methods
from neural_backend.jobs.resident_methods import ResidentMethods, free_bytes
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.jobs.trained_method import forget_methods, load_method
from neural_backend.protocol.errors import JobError
from tests.analytic_run import make_run

CPU = torch.device("cpu")


@pytest.fixture
def runs(tmp_path: Path) -> list[RunFolder]:
    first = make_run(tmp_path / "a", size=(4, 4))
    others = [tmp_path / name for name in "bcd"]
    for other in others:
        shutil.copytree(first.path, other)
    return [first, *(RunFolder.open(other) for other in others)]


def test_the_runs_used_last_are_kept_and_no_more(runs: list[RunFolder]) -> None:
    resident = ResidentMethods(most=3)
    first = [resident.get(run, CPU, object) for run in runs[:3]]
    assert resident.get(runs[0], CPU, object) is first[0]
    resident.get(runs[3], CPU, object)
    assert len(resident.kept) == 3
    assert resident.get(runs[0], CPU, object) is first[0]
    assert resident.get(runs[2], CPU, object) is first[2]
    assert resident.get(runs[1], CPU, object) is not first[1]


def test_a_run_that_has_learned_more_is_loaded_anew_and_the_old_state_freed(
    runs: list[RunFolder],
) -> None:
    resident = ResidentMethods()
    old = resident.get(runs[0], CPU, object)
    (state,) = runs[0].checkpoints.rglob("state.safetensors")
    before = state.stat().st_mtime_ns
    os.utime(state, ns=(before, before + 1))
    assert resident.get(runs[0], CPU, object) is not old
    assert len(resident.kept) == 1


def test_fields_are_dropped_until_there_is_memory_for_another(
    runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = ResidentMethods()
    for run in runs[:2]:
        resident.get(run, CPU, object)
    monkeypatch.setattr(resident_methods, "free_bytes", lambda _device: 0)
    resident.get(runs[2], CPU, object)
    assert [Path(key.run) for key in resident.kept] == [runs[2].path.resolve()]


def test_running_out_of_memory_frees_all_and_tries_once_more(runs: list[RunFolder]) -> None:
    resident = ResidentMethods()
    resident.get(runs[0], CPU, object)
    tries = []

    def load() -> str:
        tries.append(len(resident.kept))
        if len(tries) == 1:
            raise MemoryError
        return "loaded"

    assert resident.get(runs[1], CPU, load) == "loaded"
    assert tries == [1, 0]

    def never() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        resident.get(runs[2], CPU, never)


def test_a_checkpoint_replaced_while_it_is_read_is_read_again(runs: list[RunFolder]) -> None:
    """As when another process trains the run."""
    resident = ResidentMethods()
    (checkpoint,) = (path for path in runs[0].checkpoints.iterdir() if path.is_dir())
    tries = []

    def load() -> str:
        tries.append(1)
        if len(tries) == 1:
            checkpoint.rename(checkpoint.with_name("step_00000009"))
            (runs[0].checkpoints / "last.json").write_text('{"checkpoint": "step_00000009"}')
            raise JobError("The checkpoint cannot be read.", "Train again.")
        return "loaded"

    assert resident.get(runs[0], CPU, load) == "loaded"
    assert [key.checkpoint for key in resident.kept] == ["step_00000009"]

    def broken() -> None:
        raise JobError("The checkpoint cannot be read.", "Train again.")

    with pytest.raises(JobError, match="cannot be read"):
        resident.get(runs[1], CPU, broken)


def test_loading_the_same_run_twice_gives_the_same_field_until_it_is_released(
    runs: list[RunFolder],
) -> None:
    first = load_method(runs[0], CPU)
    assert load_method(runs[0], CPU) is first
    assert forget_methods() >= 1
    assert forget_methods() == 0
    assert load_method(runs[0], CPU) is not first


def test_free_memory_is_told_or_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = free_bytes(CPU)
    assert known is None or known > 1 << 20

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert free_bytes(CPU) is None
