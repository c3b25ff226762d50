# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

import neural_backend as nf
from neural_backend.jobs import base, devices, run, start
from neural_backend.jobs import train as training_job
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.methods import registry
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import JobFailed, Progress, Train, Trained, Warned
from tests import tiny_method
from tests.moving_capture import write_moving_capture
from tests.tiny_capture import write_tiny_capture


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    tiny_method.register()


@pytest.fixture
def capture(tmp_path) -> Path:
    return write_tiny_capture(tmp_path / "Aufnahme für Test")


def job_for(capture: Path, run_folder: Path, **changes) -> Train:
    return Train(capture=str(capture), run=str(run_folder), **{"method": "tiny", **changes})


def state_bytes(run_folder: Path) -> bytes:
    checkpoints = run_folder / "checkpoints"
    name = json.loads((checkpoints / "last.json").read_text())["checkpoint"]
    return (checkpoints / name / "state.safetensors").read_bytes()


def test_a_training_ends_with_a_run_folder_that_tells_and_holds_all(capture, tmp_path):
    folder = tmp_path / "runs" / "one"
    job = job_for(capture, folder, evaluations=2, preview_seconds=1e-3, settings=("steps=30",))
    events = list(run(job))
    trained = events[-1]
    assert isinstance(trained, Trained)
    assert (trained.method, trained.steps) == ("tiny", 30)
    assert trained.psnr > 5
    record = RunFolder.open(folder).read_record()
    assert (record.state, record.steps, record.seed) == ("trained", 30, 0)
    assert record.config["steps"] == 30
    assert RunFolder.open(folder).capture_path() == capture
    metrics = RunFolder.open(folder).read_metrics()
    assert [line["step"] for line in metrics if line["psnr"]] == [10, 20, 30]
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == [
        "reading the capture",
        "reading pictures",
        "preparing",
        "training",
        "measuring held-out views",
    ]
    previews = [event.preview for event in events if isinstance(event, Progress) and event.preview]
    with Image.open(previews[-1]) as preview:
        assert (preview.size, preview.mode) == ((16, 16), "RGBA")


def test_a_graphics_card_is_announced_before_anything_is_put_on_it(capture, tmp_path, monkeypatch):
    """No card is needed: the training is dropped there."""
    monkeypatch.setattr(training_job, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(devices, "what_triton_lacks", lambda: "Triton lacks a compiler.")
    events = training_job.run(job_for(capture, tmp_path / "run", hold_out=0))
    reading, starting, warning = (next(events) for _ in range(3))
    assert [reading.stage, starting.stage] == ["reading the capture", "starting CUDA"]
    assert isinstance(warning, Warned)
    assert warning.message == "Triton lacks a compiler."
    events.close()


def test_the_capture_beside_a_run_is_the_one_that_was_used(capture, tmp_path):
    nf.train(capture, tmp_path / "run", method="tiny", hold_out=3, steps=1)
    used = nf.load_capture(tmp_path / "run" / "capture.json")
    assert [view.split for view in used.views] == ["test", "train", "train"] * 3
    assert used.views[0].image == capture / "images" / "view_00.png"


def test_the_python_interface_gives_back_what_was_learned(capture, tmp_path):
    in_memory = nf.load_capture(capture, hold_out=0)
    seen = []
    trained = nf.train(in_memory, tmp_path / "run", method="tiny", steps=200, on_event=seen.append)
    assert trained.psnr is None
    assert seen[-1] == trained
    method = nf.load_run(tmp_path / "run", device="cpu")
    color = method.color(torch.zeros(1, 3), torch.zeros(1, 3))[0]
    assert color[0] > color[1] > color[2]
    assert nf.load_run(tmp_path / "run", device="cpu") is method


def test_a_training_whose_answer_was_heard_is_trained_even_if_nobody_asks_further(
    capture, tmp_path
):
    events = run(job_for(capture, tmp_path / "run", settings=("steps=3",)))
    assert isinstance(next(event for event in events if isinstance(event, Trained)), Trained)
    events.close()
    assert RunFolder.open(tmp_path / "run").read_record().state == "trained"


def test_a_run_can_be_moved(capture, tmp_path):
    nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    before = nf.load_run(tmp_path / "run", device="cpu").state()["values"].clone()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").rename(tmp_path / "elsewhere" / "run")
    after = nf.load_run(tmp_path / "elsewhere" / "run", device="cpu").state()["values"]
    assert torch.equal(before, after)


@pytest.mark.parametrize("stop_at", ["reading pictures", "training"])
def test_a_closed_training_is_cancelled_and_goes_on_to_the_same_result(capture, tmp_path, stop_at):
    settings = ("steps=40", "step_seconds=0.01")
    list(run(job_for(capture, tmp_path / "whole", settings=settings, seed=5)))
    events = run(job_for(capture, tmp_path / "cut", settings=settings, seed=5))
    for event in events:
        if isinstance(event, Progress) and event.stage == stop_at and event.done > 5:
            break
    events.close()
    folder = RunFolder.open(tmp_path / "cut")
    assert folder.read_record().state == "cancelled"

    again = {"settings": settings, "seed": 5} if stop_at != "training" else {}
    events = list(run(job_for(capture, tmp_path / "cut", resume=True, **again)))
    assert isinstance(events[-1], Trained)
    assert events[-1].steps == 40
    assert any(isinstance(event, Warned) for event in events) == (stop_at != "training")
    assert state_bytes(tmp_path / "cut") == state_bytes(tmp_path / "whole")
    steps = [line["step"] for line in folder.read_metrics()]
    assert steps == sorted(set(steps))


def test_a_finished_training_can_go_on_with_a_larger_budget(capture, tmp_path):
    nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    assert nf.train(capture, tmp_path / "run", resume=True, steps=9).steps == 9
    assert nf.train(capture, tmp_path / "run", resume=True).steps == 9


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"method": "nerf"}, "was trained with tiny, not with nerf"),
        ({"settings": ("batch=3",)}, "cannot be changed"),
    ],
)
def test_a_resumed_training_keeps_what_it_was_asked(capture, tmp_path, changes, complaint):
    nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    with pytest.raises(JobError, match=complaint):
        nf.train(capture, tmp_path / "run", resume=True, **changes)


def test_a_capture_that_lost_views_cannot_be_gone_on_with(capture, tmp_path):
    nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    (capture / "images" / "view_03.png").unlink()
    with pytest.raises(
        JobError, match=r"trained on 7 views of the capture, and the 7 .* not the same"
    ):
        nf.train(capture, tmp_path / "run", method="tiny", steps=9, resume=True)


def test_nothing_is_overwritten(capture, tmp_path):
    nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    with pytest.raises(JobError, match="already a training"):
        nf.train(capture, tmp_path / "run", method="tiny", steps=5)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(JobError, match="not empty and is no run"):
        nf.train(capture, tmp_path / "papers", method="tiny", steps=5)
    assert [path.name for path in (tmp_path / "papers").iterdir()] == ["thesis.txt"]


def test_a_training_that_failed_before_it_learned_anything_may_be_started_again(capture, tmp_path):
    with pytest.raises(RuntimeError, match="told to crash"):
        nf.train(capture, tmp_path / "run", method="tiny", settings=("crash_at=0",))
    assert nf.train(capture, tmp_path / "run", method="tiny", steps=3).steps == 3


def test_a_training_that_falls_apart_keeps_its_last_good_checkpoint(capture, tmp_path):
    settings = ("nan_at=30", "step_seconds=0.005")
    job = job_for(capture, tmp_path / "run", settings=settings, checkpoint_seconds=0.02)
    failed = list(run(job))[-1]
    assert isinstance(failed, JobFailed)
    assert "fell apart" in failed.message
    assert "gentler settings" in failed.remedy
    assert RunFolder.open(tmp_path / "run").read_record().state == "failed"
    values = nf.load_run(tmp_path / "run", device="cpu").state()["values"]
    assert values.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "complaint", "remedy"),
    [
        ({"method": "magic"}, "no method 'magic'", "voxel_grid"),
        ({"preset": "superb"}, "no preset 'superb'", "draft, standard, final"),
        ({"device": "abacus"}, "no device 'abacus'", "cpu or cuda"),
        ({"settings": ("batch",)}, "not of the form name=value", "name=value"),
        ({"settings": ("colour=3",)}, "no setting 'colour'", "learning_rate"),
        ({"settings": ("batch=many",)}, "batch must be int", "Correct"),
        ({"capture": "nowhere"}, "nowhere", "Choose"),
    ],
)
def test_what_the_user_can_put_right_is_said_and_nothing_is_written(
    capture, tmp_path, changes, complaint, remedy
):
    values = {"capture": str(capture), "run": str(tmp_path / "run"), "method": "tiny", **changes}
    (failed,) = [event for event in run(Train(**values)) if isinstance(event, JobFailed)]
    assert complaint in failed.message
    assert remedy in failed.remedy
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    ("built_for", "warning", "complaint"),
    [
        (None, "", "torch computes on CPUs alone"),
        ("13.0", "", "no usable CUDA device"),
        (
            "13.0",
            "The NVIDIA driver on your system is too old.",
            "driver on your system is too old",
        ),
    ],
)
def test_cuda_where_there_is_none_is_said_with_a_remedy(
    capture, tmp_path, monkeypatch, built_for, warning, complaint
):
    def is_available() -> bool:
        if warning:
            warnings.warn(warning, UserWarning, stacklevel=1)
        return False

    monkeypatch.setattr(torch.version, "cuda", built_for)
    if warning:
        monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
        monkeypatch.setattr(torch.cuda, "is_available", is_available)
    failed = list(run(job_for(capture, tmp_path / "run", device="cuda")))[-1]
    assert complaint in failed.message
    assert "cpu" in failed.remedy


def test_auto_takes_a_method_for_the_device():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert registry.resolve_method("auto", cpu, unbounded=False) == "voxel_grid"
    assert registry.resolve_method("auto", cuda, unbounded=True) == "instant_ngp"
    assert registry.resolve_method("nerf", cuda, unbounded=True) == "nerf"
    for device in (cpu, cuda):
        for unbounded in (False, True):
            moving = registry.resolve_method("auto", device, unbounded, dynamic=True)
            assert moving == "deformable_ngp"
    assert registry.resolve_method("nerf", cpu, unbounded=False, dynamic=True) == "nerf"


def test_auto_takes_a_method_that_moves_for_a_capture_that_does(tmp_path):
    moving = write_moving_capture(tmp_path / "moving", num_views=4, size=12)
    trained = list(run(job_for(moving, tmp_path / "run", method="auto", steps=2)))[-1]
    assert trained.method == "deformable_ngp"


def test_a_disk_that_fills_up_is_said_and_the_last_checkpoint_stays(capture, tmp_path, monkeypatch):
    save = training_job.save_checkpoint
    calls = []

    def save_twice(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "state"))
        return save(*arguments)

    monkeypatch.setattr(training_job, "save_checkpoint", save_twice)
    failed = list(run(job_for(capture, tmp_path / "run", checkpoint_seconds=1e-9)))[-1]
    assert "disk is full" in failed.message
    assert "state" in failed.message
    assert nf.load_run(tmp_path / "run", device="cpu") is not None


def test_a_full_disk_while_a_training_is_cancelled_reaches_the_one_who_cancels(
    capture, tmp_path, monkeypatch
):
    def full_disk(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training_job, "save_checkpoint", full_disk)
    events = run(job_for(capture, tmp_path / "run", settings=("step_seconds=0.01",)))
    for event in events:
        if isinstance(event, Progress) and event.stage == "training" and event.done:
            break
    with pytest.raises(OSError, match="No space"):
        events.close()
    assert RunFolder.open(tmp_path / "run").read_record().state == "failed"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(capture, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    failed = list(run(job_for(capture, tmp_path / "locked" / "run")))[-1]
    assert str(tmp_path / "locked" / "run") in failed.message


def test_a_run_folder_below_a_file_is_named(capture, tmp_path):
    (tmp_path / "file").write_text("")
    failed = list(run(job_for(capture, tmp_path / "file" / "run")))[-1]
    assert str(tmp_path / "file" / "run") in failed.message
    assert "Choose" in failed.remedy


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "not enough memory",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a/c"), "/a/c"),
        (
            RuntimeError("CUDA error: unspecified launch failure\nmore"),
            "card stopped working: CUDA",
        ),
        (RuntimeError("Triton Error [CUDA]: invalid argument"), "card stopped working: Triton"),
        (type("PTXASError", (type("TritonError", (Exception,), {}),), {})(), "FIELDS_TRITON=0"),
        (ZeroDivisionError("division by zero"), "unforeseen ZeroDivisionError"),
        (JobError("as it is"), "as it is"),
    ],
)
def test_every_error_becomes_a_sentence(error, message):
    assert message in str(base.explain(error))


def test_only_a_job_can_be_started():
    with pytest.raises(ValueError, match="expected a job, got str"):
        next(start("train"))
