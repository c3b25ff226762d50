# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neural_backend.protocol.errors import JobError
from neural_backend.training import checkpoint
from neural_backend.training.checkpoint import (
    SavedProgress,
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
)


def progress(step: int = 3, seed: int = 0) -> SavedProgress:
    generator = torch.Generator().manual_seed(seed)
    return SavedProgress(step=step, seconds=1.5, seed=seed, generator=generator.get_state())


def test_what_is_saved_is_what_is_loaded_also_after_the_folder_moved(tmp_path):
    values = torch.arange(6.0)
    state = {"a": values, "same memory": values[2:], "turned": values.reshape(2, 3).T}
    state |= {"bytes": torch.arange(3, dtype=torch.uint8), "half": values.bfloat16()}
    state |= {"yes": torch.tensor([True, False]), "number": torch.tensor(7), "none": values[:0]}
    save_checkpoint(tmp_path / "here", {"method": "x", "list": [1, 2]}, state, progress(9, seed=4))
    (tmp_path / "here").rename(tmp_path / "dort drüben")
    loaded = load_checkpoint(tmp_path / "dort drüben")
    assert loaded.config == {"method": "x", "list": [1, 2]}
    assert loaded.state.keys() == state.keys()
    for name, tensor in state.items():
        assert loaded.state[name].dtype == tensor.dtype
        assert torch.equal(loaded.state[name], tensor)
    assert (loaded.progress.step, loaded.progress.seconds, loaded.progress.seed) == (9, 1.5, 4)
    assert torch.equal(loaded.progress.generator, progress(seed=4).generator)


def test_only_the_newest_is_kept_and_each_has_its_own_name(tmp_path):
    names = [
        save_checkpoint(tmp_path, {}, {"a": torch.full((1,), float(i))}, progress(step=5))
        for i in range(3)
    ]
    assert len(set(names)) > 1
    assert last_checkpoint(tmp_path) == names[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", names[-1]]
    assert load_checkpoint(tmp_path).state["a"] == 2


def test_a_state_that_is_no_number_is_refused_and_the_last_one_kept(tmp_path):
    kept = save_checkpoint(tmp_path, {}, {"a": torch.ones(2)}, progress(step=1))
    with pytest.raises(JobError, match="a holds values that are no numbers"):
        save_checkpoint(tmp_path, {}, {"a": torch.tensor([1.0, torch.nan])}, progress(step=2))
    assert last_checkpoint(tmp_path) == kept


def test_a_write_that_fails_leaves_the_last_one_and_no_rubbish(tmp_path, monkeypatch):
    kept = save_checkpoint(tmp_path, {}, {"a": torch.ones(2)}, progress(step=1))

    def full_disk(path, tensors):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neural_backend.training.checkpoint._write_tensors", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, {}, {"a": torch.zeros(2)}, progress(step=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", kept]
    assert load_checkpoint(tmp_path).progress.step == 1


@pytest.mark.parametrize("last_call", range(1, 9))
def test_whatever_call_is_the_last_there_is_a_whole_checkpoint(tmp_path, monkeypatch, last_call):
    save_checkpoint(tmp_path, {"step": 1}, {"a": torch.full((2,), 1.0)}, progress(step=1))
    calls = []

    def counted(function):
        def call(*arguments, **options):
            calls.append(function)
            if len(calls) >= last_call:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("mkdir", "write_text", "rename", "replace"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        patch.setattr(checkpoint.shutil, "rmtree", counted(shutil.rmtree))
        with contextlib.suppress(KeyboardInterrupt):
            save_checkpoint(tmp_path, {"step": 2}, {"a": torch.full((2,), 2.0)}, progress(step=2))
    loaded = load_checkpoint(tmp_path)
    assert loaded.config == {"step": loaded.progress.step}
    assert (loaded.state["a"] == loaded.progress.step).all()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("last.json", "{"),
        ("last.json", '{"checkpoint": "../../elsewhere"}'),
        ("last.json", "[]"),
        ("step_00000003/config.json", "[1]"),
        ("step_00000003/progress.json", '{"step": 3}'),
        ("step_00000003/state.safetensors", "short"),
        ("step_00000003/state.safetensors", None),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, file, content):
    save_checkpoint(tmp_path, {}, {"a": torch.ones(2)}, progress())
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(JobError, match=str(tmp_path / Path(file).parts[0])):
        load_checkpoint(tmp_path)


def test_no_checkpoint_is_said_to_be_none(tmp_path):
    assert last_checkpoint(tmp_path) == ""
    with pytest.raises(JobError, match="no checkpoint"):
        load_checkpoint(tmp_path)


WRITER = """
import sys, itertools, torch
from pathlib import Path
from neural_backend.training.checkpoint import SavedProgress, save_checkpoint
generator = torch.Generator().get_state()
for step in itertools.count(1):
    state = {name: torch.full((200_000,), float(step)) for name in "abc"}
    progress = SavedProgress(step=step, seconds=1.0, seed=0, generator=generator)
    save_checkpoint(Path(sys.argv[1]), {"step": step}, state, progress)
    print(step, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    """Kills the process while it writes without a pause, then reads, then lets another go on."""
    for attempt in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(attempt + 2):
            written = int(process.stdout.readline())
        time.sleep(0.0013 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        loaded = load_checkpoint(tmp_path)
        step = loaded.progress.step
        assert step >= written
        assert loaded.config == {"step": step}
        assert all(bool((loaded.state[name] == step).all()) for name in "abc")
    assert json.loads((tmp_path / "last.json").read_text())["checkpoint"] == loaded.name
