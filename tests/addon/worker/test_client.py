# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from neural_fields.addon.worker.client import Patience, WorkerClient, WorkerDied, worker_command
from neural_fields.addon.worker.protocol import BACKEND, JobError, messages

from tests.worker_python import WORKER_PYTHON

FAKE = Path(__file__).with_name("fake_worker.py")
ROOT = Path(__file__).resolve().parents[3]
JOB = messages.Inspect(job_id="a", path="somewhere")

Start = Callable[..., WorkerClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    clients = []

    def start(mode: str, **patience: float) -> WorkerClient:
        command = [sys.executable, "-I", "-u", str(FAKE), mode]
        clients.append(WorkerClient(command, tmp_path / "worker.log", Patience(**patience)))
        return clients[-1]

    yield start
    for client in clients:
        client.stop()


def wait_for(client: WorkerClient, kind: type, seconds: float = 60.0) -> list:
    """All events up to the first of a kind."""
    events: list = []
    deadline = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline, f"no {kind.__name__}, but {events}"
        events += client.events(0.05)
    return events


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


@pytest.mark.parametrize("mode", ["normal", "noisy"])
def test_a_job_is_answered_after_the_worker_has_introduced_itself(start: Start, mode: str) -> None:
    client = start(mode)
    client.send(JOB)
    kinds = [type(event) for event in wait_for(client, messages.Inspected)]
    assert kinds == [messages.WorkerReady, messages.Progress, messages.Inspected]
    assert client.ready is not None
    assert client.ready.methods == ("nerf",)


def test_a_dead_worker_leaves_its_status_and_its_last_words(start: Start) -> None:
    client = start("mortal")
    client.send(JOB)
    death = wait_for(client, WorkerDied)[-1]
    assert "exit status 3" in death.message
    assert "out of cheese" in death.message
    assert str(client.log) in death.remedy
    assert not death.expected
    assert not client.alive
    client.send(JOB)  # into a closed pipe: nothing happens


def test_a_killed_worker_is_said_to_have_been_killed(start: Start) -> None:
    client = start("normal")
    wait_for(client, messages.WorkerReady)
    os.kill(client.pid, 9)
    assert "SIGKILL" in wait_for(client, WorkerDied)[-1].message


@pytest.mark.parametrize(("mode", "words"), [("newer", "version 99"), ("garbled", "JSON")])
def test_a_worker_that_is_not_understood_is_stopped_with_the_reason(
    start: Start, mode: str, words: str
) -> None:
    client = start(mode)
    death = wait_for(client, WorkerDied)[-1]
    assert words in death.message
    assert not is_running(client.pid)


def test_a_worker_that_never_gets_ready_is_stopped(start: Start) -> None:
    client = start("mute", start=0.2)
    assert "not ready" in wait_for(client, WorkerDied)[-1].message


def test_cancelling_a_worker_that_does_not_listen_ends_in_a_kill(start: Start) -> None:
    client = start("deaf", cancel=0.2, terminate=0.2)
    wait_for(client, messages.WorkerReady)
    client.send(JOB)
    client.cancel(JOB.job_id)
    assert "SIGKILL" in wait_for(client, WorkerDied)[-1].message


def test_stopping_ends_the_process_by_whatever_it_takes(start: Start) -> None:
    for mode in ("normal", "deaf"):
        client = start(mode, shutdown=0.3, terminate=0.3)
        wait_for(client, messages.WorkerReady)
        client.stop()
        assert not is_running(client.pid)
        assert client.died is not None
        assert client.died.expected


def test_python_variables_of_blender_do_not_reach_the_worker(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    client = start("normal")
    client.send(JOB)
    tunables = wait_for(client, messages.Inspected)[-1].lines[0]
    assert ("trim_threshold" in tunables) == (sys.platform == "linux")


def test_a_python_that_does_not_exist_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be started"):
        WorkerClient([str(tmp_path / "python")], tmp_path / "worker.log")


def test_the_real_worker_starts_answers_and_ends(tmp_path: Path) -> None:
    client = WorkerClient(worker_command(WORKER_PYTHON), tmp_path / "worker.log")
    try:
        client.send(messages.Inspect(job_id="a", path=str(tmp_path / "nothing here")))
        events = wait_for(client, messages.JobFailed, 120)
        assert client.ready is not None
        assert "cpu" in client.ready.devices
        assert "nothing here" in events[-1].message
    finally:
        client.stop()
    assert not is_running(client.pid)


def test_the_real_worker_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        f"sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        "import headless_blender; headless_blender.load_extension()\n"
        "from neural_fields.addon.worker.client import WorkerClient, worker_command\n"
        "client = WorkerClient(worker_command(Path(sys.argv[2])), Path(sys.argv[1]))\n"
        "while client.ready is None and client.alive: client.events(0.1)\n"
        "assert 'bpy' not in sys.modules\n"
        "print(client.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log"), str(WORKER_PYTHON)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline, "the worker is an orphan"
        time.sleep(0.05)


def test_the_worker_runs_the_backend_beside_the_add_on() -> None:
    assert BACKEND == ROOT / "neural_backend"
    assert worker_command(Path("python"))[-1] == str(BACKEND / "worker" / "__main__.py")
