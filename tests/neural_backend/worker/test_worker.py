# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker as a real process, spoken to through its pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import neural_backend
from neural_backend.protocol.lines import from_line, to_line
from neural_backend.protocol.messages import (
    VERSION,
    Cancel,
    Inspect,
    Inspected,
    JobCancelled,
    JobFailed,
    Progress,
    Release,
    Released,
    Shutdown,
    Train,
    Trained,
    WorkerReady,
)
from tests.tiny_capture import write_tiny_capture

REAL_WORKER = Path(neural_backend.__file__).parent / "worker" / "__main__.py"
TINY_WORKER = Path(__file__).parent / "tiny_worker.py"


class Client:
    """What the add-on's client does, without its threads."""

    def __init__(self, script: Path) -> None:
        variables = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-u", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=variables,
        )

    def say(self, message) -> None:
        self.say_line(to_line(message))

    def say_line(self, line: str) -> None:
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"the worker died: {self.process.stderr.read()}"
        return from_line(line)

    def hear_until(self, *kinds):
        while True:
            event = self.hear()
            if isinstance(event, kinds):
                return event

    def hear_training(self):
        while True:
            event = self.hear_until(Progress)
            if event.stage == "training" and event.done > 0:
                return event

    def close(self) -> str:
        """Lets go of a worker; returns its log."""
        self.process.kill()
        return self.process.communicate()[1]


@pytest.fixture
def worker():
    """A worker of the test's own, to be ended."""
    client = Client(TINY_WORKER)
    assert isinstance(client.hear(), WorkerReady)
    yield client
    client.close()


@pytest.fixture(scope="module")
def lasting():
    """A worker that several tests give jobs to: starting one takes seconds."""
    client = Client(TINY_WORKER)
    assert isinstance(client.hear(), WorkerReady)
    yield client
    client.close()


@pytest.fixture
def capture(tmp_path) -> Path:
    return write_tiny_capture(tmp_path / "capture")


def endless(capture: Path, run: Path, **changes) -> Train:
    settings = ("steps=1000000", "step_seconds=0.01")
    values = {"job_id": "endless", "method": "tiny", "settings": settings, **changes}
    return Train(capture=str(capture), run=str(run), **values)


def state_of(run: Path) -> str:
    return json.loads((run / "run.json").read_text())["state"]


def checkpoint_step(run: Path) -> int:
    name = json.loads((run / "checkpoints" / "last.json").read_text())["checkpoint"]
    return json.loads((run / "checkpoints" / name / "progress.json").read_text())["step"]


def test_the_worker_says_what_it_is_and_ends_with_its_stdin():
    client = Client(REAL_WORKER)
    ready = client.hear()
    assert isinstance(ready, WorkerReady)
    assert ready.backend_version == neural_backend.__version__
    assert "cpu" in ready.devices
    assert "voxel_grid" in ready.methods
    assert "deep_sdf" in ready.shape_methods
    client.process.stdin.close()
    assert client.process.wait(timeout=10) == 0
    assert client.process.stdout.read() == ""
    client.process.stdin = None
    client.close()


def test_jobs_are_done_in_their_order_and_a_failure_does_not_end_the_worker(
    lasting, capture, tmp_path
):
    lasting.say(Inspect(job_id="absent", path=str(tmp_path / "nowhere")))
    quick = endless(capture, tmp_path / "run", job_id="learn", preset="draft", settings=())
    lasting.say(quick)
    lasting.say(Inspect(job_id="look", path=str(capture)))
    failed = lasting.hear_until(JobFailed)
    assert failed.job_id == "absent"
    assert "nowhere" in failed.message
    trained = lasting.hear_until(Trained, JobFailed)
    assert (trained.job_id, trained.steps) == ("learn", 20)
    inspected = lasting.hear_until(Inspected, JobFailed)
    assert inspected.job_id == "look"


def test_a_cancelled_training_stops_soon_and_can_be_resumed(lasting, capture, tmp_path):
    run = tmp_path / "run"
    lasting.say(endless(capture, run))
    lasting.hear_training()
    lasting.say(Cancel(job_id="endless"))
    cancelled = lasting.hear_until(JobCancelled, Trained, JobFailed)
    assert cancelled == JobCancelled(job_id="endless", run=str(run))
    assert state_of(run) == "cancelled"
    step = checkpoint_step(run)
    assert step > 0

    again = Train(job_id="again", capture=str(capture), run=str(run), resume=True, steps=step + 5)
    lasting.say(again)
    trained = lasting.hear_until(Trained, JobFailed)
    assert (trained.job_id, trained.steps) == ("again", step + 5)
    assert state_of(run) == "trained"


def test_a_waiting_job_can_be_cancelled_and_an_unknown_one_is_no_matter(lasting, capture, tmp_path):
    lasting.say(endless(capture, tmp_path / "first", job_id="first"))
    lasting.say(endless(capture, tmp_path / "second", job_id="second"))
    lasting.hear_training()
    lasting.say(Cancel(job_id="never heard of"))
    lasting.say(Cancel(job_id="second"))
    assert lasting.hear_until(JobCancelled).job_id == "second"
    lasting.say(Cancel(job_id="first"))
    assert lasting.hear_until(JobCancelled).job_id == "first"
    assert not (tmp_path / "second").exists()


def test_the_worker_ends_when_its_parent_is_gone_and_keeps_what_was_learned(
    worker, capture, tmp_path
):
    worker.say(endless(capture, tmp_path / "run"))
    worker.hear_training()
    worker.process.stdin.close()
    worker.process.wait(timeout=15)
    worker.process.stdin = None
    assert checkpoint_step(tmp_path / "run") > 0


def test_a_step_that_hangs_does_not_keep_the_worker_alive_without_a_parent(
    worker, capture, tmp_path
):
    settings = ("steps=1000000", "step_seconds=3600")
    worker.say(endless(capture, tmp_path / "run", settings=settings))
    while worker.hear_until(Progress).stage != "training":
        pass
    time.sleep(0.2)
    worker.process.stdin.close()
    assert worker.process.wait(timeout=15) == 1
    worker.process.stdin = None


def test_a_cancel_gets_through_a_long_call_outside_the_steps(lasting, capture, tmp_path):
    """As compiling kernels is: seconds without a report."""
    settings = ("steps=1000000", "prepare_seconds=3600")
    lasting.say(endless(capture, tmp_path / "run", settings=settings))
    while lasting.hear_until(Progress).stage != "preparing":
        pass
    lasting.say(Cancel(job_id="endless"))
    assert lasting.hear_until(JobCancelled, JobFailed).job_id == "endless"
    assert state_of(tmp_path / "run") == "cancelled"
    lasting.say(Inspect(job_id="alive", path=str(capture)))
    assert lasting.hear_until(Inspected, JobFailed).job_id == "alive"


def test_a_killed_worker_leaves_a_checkpoint_that_another_resumes_to_the_same_result(
    capture, tmp_path
):
    """On the CPU the resumed run equals an uninterrupted one, bit for bit."""
    settings = ("steps=80", "step_seconds=0.01")
    jobs = {
        name: endless(
            capture,
            tmp_path / name,
            job_id=name,
            settings=settings,
            seed=3,
            checkpoint_seconds=0.05,
        )
        for name in ("whole", "killed")
    }
    first = Client(TINY_WORKER)
    first.say(jobs["whole"])
    assert first.hear_until(Trained, JobFailed).steps == 80
    first.say(jobs["killed"])
    while first.hear_training().done < 20:
        pass
    os.kill(first.process.pid, signal.SIGKILL)
    first.close()
    assert state_of(tmp_path / "killed") == "training"
    assert 0 < checkpoint_step(tmp_path / "killed") < 80

    second = Client(TINY_WORKER)
    second.say(Train(capture=str(capture), run=str(tmp_path / "killed"), resume=True))
    assert second.hear_until(Trained, JobFailed).steps == 80
    second.close()
    states = [
        tmp_path / name / "checkpoints" / "step_00000080" / "state.safetensors" for name in jobs
    ]
    assert states[0].read_bytes() == states[1].read_bytes()


def test_another_version_and_nonsense_are_answered_clearly(lasting, capture):
    wrong = json.loads(to_line(Inspect(job_id="old", path="x"))) | {"version": VERSION + 1}
    lasting.say_line(json.dumps(wrong) + "\n")
    answer = lasting.hear()
    assert isinstance(answer, JobFailed)
    assert answer.job_id == "old"
    assert f"version {VERSION + 1}" in answer.message
    assert f"version {VERSION}" in answer.message
    assert "same release" in answer.message + answer.remedy

    for line in ("nonsense\n", '{"version": 1}\n', "[]\n", "\n", to_line(JobCancelled(job_id="x"))):
        lasting.say_line(line)
    lasting.process.stdin.buffer.write(b"\xff\xfe\n")
    lasting.process.stdin.buffer.flush()
    answers = [lasting.hear() for _ in range(5)]
    assert all(isinstance(answer, JobFailed) for answer in answers)
    lasting.say(Inspect(job_id="alive", path=str(capture)))
    assert lasting.hear_until(Inspected, JobFailed).job_id == "alive"


def test_a_crash_inside_a_job_is_a_sentence_here_and_a_report_in_the_log(
    lasting, capture, tmp_path
):
    run = tmp_path / "run"
    lasting.say(endless(capture, run, settings=("crash_at=3",)))
    failed = lasting.hear_until(JobFailed, Trained)
    assert "told to crash" in failed.message
    assert "Traceback" not in failed.message
    assert "Traceback" in (run / "log.txt").read_text()
    assert state_of(run) == "failed"


def test_shutdown_finishes_the_running_job_and_drops_the_waiting_ones(worker, capture, tmp_path):
    settings = ("steps=60", "step_seconds=0.01")
    worker.say(endless(capture, tmp_path / "first", job_id="first", settings=settings))
    worker.say(endless(capture, tmp_path / "second", job_id="second"))
    worker.hear_training()
    worker.say(Shutdown())
    assert worker.hear_until(JobCancelled).job_id == "second"
    assert worker.hear_until(Trained, JobFailed).job_id == "first"
    assert worker.process.wait(timeout=10) == 0


def test_what_a_library_prints_does_not_reach_the_messages(tmp_path):
    noisy = tmp_path / "noisy_worker.py"
    text = TINY_WORKER.read_text().replace("parents[3]", "parents[0]")
    root = str(Path(neural_backend.__file__).parents[1])
    text = text.replace("str(Path(__file__).resolve().parents[0])", repr(root))
    text = text.replace(
        "    tiny_method.register()\n",
        "    tiny_method.register()\n    import os, subprocess\n"
        "    import neural_backend.worker.server as server\n"
        "    describe = server.describe_worker\n"
        "    def noisy():\n"
        "        print('from Python')\n"
        "        os.write(1, b'from C')\n"
        "        subprocess.run(['echo', 'from a child'])\n"
        "        return describe()\n"
        "    server.describe_worker = noisy\n",
    )
    noisy.write_text(text)
    client = Client(noisy)
    assert isinstance(client.hear(), WorkerReady)
    log = client.close()
    for voice in ("from Python", "from C", "from a child"):
        assert voice in log


def test_memory_is_released_in_turn(lasting):
    lasting.say(Release(job_id="free"))
    first = lasting.hear_until(Released)
    assert first.job_id == "free"
    lasting.say(Release())
    assert lasting.hear_until(Released).num_fields == 0
