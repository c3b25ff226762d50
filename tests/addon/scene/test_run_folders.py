# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on disk: what the list says of them, and what may be done to their folders."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.scene.run_folders import (
    QUIET_S,
    delete_run,
    list_runs,
    process_lives,
    read_run,
    rename_run,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def write_run(folder: Path, checkpoint: bool = True, **values: object) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    if checkpoint:
        (folder / "checkpoints" / "last.json").write_text("{}", encoding="utf-8")
    record = {"state": "trained", "method": "nerf"} | values
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_record_is_read_as_it_was_written(bpy: ModuleType, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "Läufe", psnr=27.5, steps=12, seconds=3.5, preset="draft")
    run = read_run(folder)
    assert (run.state, run.method, run.preset) == ("trained", "nerf", "draft")
    assert (run.psnr, run.steps, run.seconds) == (27.5, 12, 3.5)
    assert run.has_checkpoint
    assert not run.is_shape
    assert read_run(write_run(tmp_path / "shape", meshes=["a.ply"])).is_shape


def test_a_training_whose_process_is_gone_was_interrupted(bpy: ModuleType, tmp_path: Path) -> None:
    """As after a crash of Blender: nobody was left to note the end."""
    gone = write_run(tmp_path / "gone", state="training", process=ended_process())
    alive = write_run(tmp_path / "alive", state="training", process=os.getpid())
    older = write_run(tmp_path / "older", state="training")
    assert [read_run(one).state for one in (gone, alive, older)] == [
        "interrupted",
        "training",
        "interrupted",
    ]


def test_a_number_that_another_process_took_over_is_not_taken_for_the_training(
    bpy: ModuleType, tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "old", state="training", process=os.getpid())
    then = time.time() - QUIET_S - 5
    for file in (folder / "run.json", folder / "checkpoints" / "last.json"):
        os.utime(file, (then, then))
    assert read_run(folder).state == "interrupted"
    (folder / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    assert read_run(folder).state == "training", "it has written just now"


def test_processes_are_asked_without_harm(bpy: ModuleType) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_lives(child.pid)
    assert child.poll() is None
    child.communicate(b"\n")
    assert not process_lives(child.pid)
    assert not process_lives(0)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": "odd"}', '{"state": 3}'])
def test_a_damaged_record_is_shown_as_such(bpy: ModuleType, tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    assert read_run(tmp_path).state == "damaged"


def test_runs_are_listed_newest_first_and_missing_ones_last(
    bpy: ModuleType, tmp_path: Path
) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        record = write_run(tmp_path / name) / "run.json"
        os.utime(record, (1e9 - age, 1e9 - age))
    (tmp_path / "capture").mkdir()
    far = write_run(tmp_path / "far" / "away")
    os.utime(far / "run.json", (1e9 + 1, 1e9 + 1))
    known = [far, tmp_path / "lost", tmp_path / "x" / ".." / "new"]
    found = list_runs([tmp_path, tmp_path / "not there"], known)
    assert [run.path.name for run in found] == ["away", "new", "middle", "old", "lost"]
    assert found[-1].state == "missing"


def test_runs_that_ended_are_listed_while_they_are_there(bpy: ModuleType, tmp_path: Path) -> None:
    kept = write_run(tmp_path / "kept")
    found = list_runs([tmp_path / "runs"], ended=[kept, tmp_path / "deleted"])
    assert [run.path for run in found] == [kept]


def test_only_runs_are_deleted(bpy: ModuleType, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SceneError, match="no run folder"):
        delete_run(precious)
    run = write_run(tmp_path / "run")
    link = tmp_path / "link"
    link.symlink_to(run, target_is_directory=True)
    with pytest.raises(SceneError, match="no run folder"):
        delete_run(link)
    assert delete_run(run) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "precious"]
    assert (precious / "thesis.txt").is_file()


def test_results_are_moved_beside_a_run_that_is_deleted(bpy: ModuleType, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "outputs").mkdir()
    (run / "outputs" / "view.png").write_bytes(b"a")
    (tmp_path / "run_outputs").mkdir()
    kept = delete_run(run, "outputs")
    assert kept == tmp_path / "run_outputs_1"
    assert (kept / "view.png").read_bytes() == b"a"
    assert not run.exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "../b", "taken"])
def test_names_that_cannot_be_had_are_refused(bpy: ModuleType, tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run")
    write_run(tmp_path / "taken")
    with pytest.raises(SceneError):
        rename_run(run, name)
    assert run.is_dir()
    assert rename_run(run, "Käfer 2") == tmp_path / "Käfer 2"
    assert read_run(tmp_path / "Käfer 2").state == "trained"
