# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker of single views, with a process that only pretends."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from neural_fields.addon.worker.client import WorkerClient
from neural_fields.addon.worker.frames import FrameWorker
from neural_fields.addon.worker.protocol import JobError, messages

FAKE = Path(__file__).with_name("fake_frames.py")


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], WorkerClient]:
    return lambda: WorkerClient([sys.executable, "-u", str(FAKE)], tmp_path / "log.txt")


@pytest.fixture
def worker(start: Callable[[], WorkerClient]) -> Iterator[FrameWorker]:
    made = FrameWorker(start)
    yield made
    made.stop()


def frame(job_id: str, output: Path, mode: str = "ok") -> messages.RenderFrame:
    return messages.RenderFrame(
        job_id=job_id,
        run=mode,
        output=str(output),
        camera_to_world=(0.0,) * 16,
        width=1,
        height=1,
        focal_x_px=1.0,
        focal_y_px=1.0,
        center_x_px=0.5,
        center_y_px=0.5,
    )


def until(condition: Callable[[], object]) -> object:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def test_nothing_starts_before_the_first_view(worker: FrameWorker, tmp_path: Path) -> None:
    assert not worker.is_running
    assert worker.take("a") is None
    worker.request(frame("a", tmp_path / "a.npy"))
    assert worker.is_running
    answer = until(lambda: worker.take("a"))
    assert isinstance(answer, messages.FrameReady)
    assert worker.is_ready
    assert not worker.is_waited_for
    assert worker.take("a") is None


def test_answers_reach_whoever_asked_from_any_thread(worker: FrameWorker, tmp_path: Path) -> None:
    found: dict[str, object] = {}

    def ask(name: str) -> None:
        for number in range(10):
            job_id = f"{name}{number}"
            worker.request(frame(job_id, tmp_path / f"{job_id}.npy"))
            found[job_id] = until(lambda job_id=job_id: worker.take(job_id))

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    for job_id, answer in found.items():
        assert isinstance(answer, messages.FrameReady)
        assert answer.job_id == job_id


def test_what_nobody_waits_for_is_cancelled_and_its_picture_removed(
    worker: FrameWorker, tmp_path: Path
) -> None:
    worker.request(frame("slow", tmp_path / "slow.npy", "hang"))
    until(lambda: (worker.poll(), worker.progress("slow"))[1])
    worker.forget("slow")
    assert not worker.is_waited_for
    # The process answers in turn: after the next answer the cancelled one has come too.
    worker.request(frame("late", tmp_path / "late.npy"))
    worker.forget("late")
    worker.request(frame("next", tmp_path / "next.npy"))
    until(lambda: worker.take("next"))
    assert [path.name for path in tmp_path.glob("*.npy")] == ["next.npy"]
    assert not worker.has_answers


def test_an_answer_that_is_dropped_takes_its_picture_along(
    worker: FrameWorker, tmp_path: Path
) -> None:
    worker.request(frame("a", tmp_path / "a.npy"))
    until(lambda: worker.poll() or worker.has_answers)
    worker.forget("a")
    assert not list(tmp_path.glob("*.npy"))


def test_a_death_fails_what_was_asked_for_and_the_next_view_starts_another(
    worker: FrameWorker, tmp_path: Path
) -> None:
    worker.request(frame("a", tmp_path / "a.npy", "die"))
    worker.request(frame("b", tmp_path / "b.npy"))
    for job_id in "ab":
        answer = until(lambda job_id=job_id: worker.take(job_id))
        assert isinstance(answer, messages.JobFailed)
        assert "exit status 7" in answer.message
    worker.request(frame("c", tmp_path / "c.npy"))
    assert isinstance(until(lambda: worker.take("c")), messages.FrameReady)


def test_a_worker_that_cannot_start_says_why_to_all(tmp_path: Path) -> None:
    def fail() -> WorkerClient:
        raise JobError("No Python with torch was found.", "Install it.")

    worker = FrameWorker(fail)
    worker.request(frame("a", tmp_path / "a.npy"))
    answer = until(lambda: worker.take("a"))
    assert isinstance(answer, messages.JobFailed)
    assert (answer.message, answer.remedy) == ("No Python with torch was found.", "Install it.")
    assert not worker.is_running


def test_an_idle_process_ends_by_itself_and_comes_back(
    start: Callable[[], WorkerClient], tmp_path: Path
) -> None:
    worker = FrameWorker(start, idle_s=0.2)
    worker.request(frame("a", tmp_path / "a.npy"))
    until(lambda: worker.take("a"))
    until(lambda: not worker.is_running)
    worker.request(frame("b", tmp_path / "b.npy"))
    assert isinstance(until(lambda: worker.take("b")), messages.FrameReady)
    worker.stop()


def test_stopping_answers_what_was_asked_for(worker: FrameWorker, tmp_path: Path) -> None:
    worker.request(frame("a", tmp_path / "a.npy", "hang"))
    until(lambda: worker.poll() or worker.is_ready)
    worker.stop()
    assert isinstance(worker.take("a"), messages.JobCancelled)
    assert not worker.is_running


def test_stopping_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    go, started = threading.Event(), []

    def start() -> WorkerClient:
        go.wait(30)
        started.append(WorkerClient([sys.executable, "-u", str(FAKE)], tmp_path / "log.txt"))
        return started[0]

    worker = FrameWorker(start)
    worker.request(frame("a", tmp_path / "a.npy"))
    worker.stop()
    go.set()
    until(lambda: started and not started[0].alive)
    assert isinstance(worker.take("a"), messages.JobCancelled)
    assert not worker.is_running
