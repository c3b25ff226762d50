# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import pytest

from neural_backend.jobs import run_folder
from neural_backend.jobs.run_folder import RunFolder, RunRecord, write_json, write_text
from neural_backend.protocol.errors import JobError


def test_a_record_survives_its_file_and_changes_one_entry_at_a_time(tmp_path):
    run = RunFolder.create(tmp_path / "a" / "run")
    record = RunRecord(method="nerf", config={"width": 8}, psnr=20.5)
    run.write_record(record)
    assert RunFolder.open(tmp_path / "a" / "run").read_record() == record
    assert run.update_record(state="trained").config == {"width": 8}
    assert run.read_record().state == "trained"


def test_entries_of_a_later_version_are_passed_over(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    values = json.loads(run.record_file.read_text())
    write_json(run.record_file, values | {"mood": "good"})
    assert run.read_record() == RunRecord()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_damaged_record_is_named(tmp_path, text):
    run = RunFolder.create(tmp_path / "run")
    run.record_file.write_text(text)
    with pytest.raises(JobError, match=r"run\.json is damaged"):
        run.read_record()


def test_a_folder_without_a_record_is_no_run(tmp_path):
    with pytest.raises(JobError, match="no run folder"):
        RunFolder.open(tmp_path)


def test_the_way_to_the_capture_survives_moving_both(tmp_path):
    run = RunFolder.create(tmp_path / "here" / "runs" / "run")
    capture = tmp_path / "here" / "my capture"
    run.write_record(RunRecord(capture=run.relative(capture)))
    (tmp_path / "here").rename(tmp_path / "there")
    moved = RunFolder.open(tmp_path / "there" / "runs" / "run")
    assert moved.capture_path() == tmp_path / "there" / "my capture"


def test_metrics_without_the_half_line_of_a_killed_process_and_without_what_comes_again(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    assert run.read_metrics() == []
    for step in (1, 2, 3):
        run.append_metrics({"step": step, "loss": 0.5})
    with run.metrics_file.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in run.read_metrics()] == [1, 2, 3]
    run.keep_metrics_until(2)
    run.append_metrics({"step": 3})
    assert [line["step"] for line in run.read_metrics()] == [1, 2, 3]


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "file.json"
    write_text(file, "old")

    def interrupted(path: Path, target: Path) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(run_folder.Path, "replace", interrupted)
    with pytest.raises(OSError, match="power cut"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_the_log_grows_by_dated_paragraphs(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.log("first\n")
    run.log("zweitens: ü")
    lines = run.log_file.read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["first", "zweitens: ü"]
