# SPDX-License-Identifier: GPL-3.0-or-later
"""What the session starts later, with a worker that only pretends."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from neural_fields.addon import session
from neural_fields.addon.worker.protocol import JobError, messages

FAKE = Path(__file__).with_name("fake_studio.py")

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def fake_worker(bpy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session, "find_python", lambda _preference: Path(sys.executable))
    monkeypatch.setattr(
        session, "worker_command", lambda _python: [sys.executable, "-u", str(FAKE)]
    )
    session.stop()
    yield
    session.stop()


def hanging(tmp_path: Path, key: str) -> session.JobRecord:
    job = messages.Train(
        job_id=session.new_job_id(), capture="/a", run=str(tmp_path / "run"), method="hang"
    )
    return session.submit(job, "Train", key=key)


def test_only_the_newest_of_a_key_is_started_and_only_once() -> None:
    started: list[str] = []
    for name in ("first", "second", "third"):
        session.schedule("a", 0.0, lambda name=name: started.append(name))
    session.schedule("b", 0.0, lambda: started.append("other"))
    assert started == []
    session.pump()
    session.pump()
    assert started == ["third", "other"]
    assert not session.is_busy("a")


def test_nothing_starts_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    started: list[int] = []
    session.schedule("a", 50.0, lambda: started.append(1))
    session.pump()
    assert started == []
    assert session.is_busy("a")
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    session.pump()
    assert started == [1]


def test_what_is_scheduled_waits_for_the_running_job_of_its_key(tmp_path: Path) -> None:
    record = hanging(tmp_path, "a")
    started: list[str] = []
    session.schedule("a", 0.0, lambda: started.append("a"))
    session.schedule("b", 0.0, lambda: started.append("b"))
    session.pump(0.1)
    assert started == ["b"]
    session.cancel(record.job.job_id)
    session.wait(record.job.job_id)
    session.pump()
    assert started == ["b", "a"]


def test_what_comes_after_another_key_waits_for_all_of_it(tmp_path: Path) -> None:
    started: list[str] = []
    record = hanging(tmp_path, "a")
    session.schedule("b", 0.0, lambda: started.append("b"), after="a")
    session.schedule("a", 0.0, lambda: started.append("a"))
    session.pump()
    assert started == []
    session.cancel(record.job.job_id)
    session.wait(record.job.job_id)
    session.pump()
    session.pump()
    assert started == ["a", "b"]


def test_what_comes_after_a_key_does_not_overtake_what_is_being_started(tmp_path: Path) -> None:
    """The worker starts, and says so, while the first of them is handed over."""
    order: list[str] = []

    def start(key: str) -> None:
        hanging(tmp_path, key)
        order.append(key)

    for key, after in (("a", ""), ("b", "a")):
        session.schedule(key, 0.0, lambda key=key: start(key), after)
    session.pump()
    session.schedule("a", 0.0, lambda: start("a"))
    for record in session.running():
        session.cancel(record.job.job_id)
        session.wait(record.job.job_id)
    session.pump()
    assert order == ["a", "a"]


def test_dropping_a_key_forgets_and_cancels(tmp_path: Path) -> None:
    record, other = hanging(tmp_path, "a"), hanging(tmp_path, "b")
    session.schedule("a", 0.0, lambda: pytest.fail("it was dropped"))
    session.drop("a")
    session.wait(record.job.job_id)
    assert (record.state, other.state) == ("cancelled", "running")
    assert not session.is_busy("a")
    session.pump()
    session.schedule("b", 0.0, lambda: pytest.fail("the session has stopped"))
    session.stop()
    session.pump()


def test_what_cannot_start_is_logged_and_does_not_stop_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started: list[int] = []

    def fail() -> None:
        raise JobError("No luck.", "Try again.")

    session.schedule("a", 0.0, fail)
    session.schedule("b", 0.0, lambda: started.append(1))
    session.pump()
    assert started == [1]
    assert "No luck. Try again." in caplog.text
