# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons around the worker's Python, in a Blender without a window: they block and report."""

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from neural_fields.addon import environment_state, preferences, session
from neural_fields.addon.worker import known_pythons
from neural_fields.addon.worker.install_plan import make_plan
from neural_fields.addon.worker.machine import Machine
from neural_fields.addon.worker.protocol import messages

from tests.addon.worker import tiny_wheels
from tests.addon.worker.package_index import PackageIndex

FAKE = Path(__file__).resolve().parents[1] / "fake_studio.py"
LINUX = Machine("linux", "x86_64")

pytestmark = [
    pytest.mark.blender,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts"),
]


@pytest.fixture(autouse=True)
def bare_computer(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No environment anywhere, no settings of pip, nothing known; and left so."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name in {"VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT"}:
            monkeypatch.delenv(name)
    monkeypatch.delenv("NEURAL_FIELDS_PYTHON", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "checkout" / "neural_backend")
    monkeypatch.setattr(preferences, "storage_folder", lambda name: storage(tmp_path / name))
    session.stop()
    environment_state.forget()
    environment_state.state().machine = LINUX
    session._session.python = session._session.log = None
    yield
    environment_state.forget()
    session.stop()
    session._session.python = session._session.log = None


def storage(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def stand_in(folder: Path, answer: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    python.chmod(0o755)
    return python


Said = Callable[[], list[str]]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """What the operators have reported since it was last asked; Blender prints it from C."""

    def said() -> list[str]:
        ctypes.CDLL(None).fflush(None)
        lines = capfd.readouterr().out.splitlines()
        return [line.split(": ", 1)[1] for line in lines if line.startswith(("Info:", "Warning:"))]

    return said


def test_find_says_which_python_it_is(bpy: ModuleType, tmp_path: Path, said: Said) -> None:
    python = stand_in(tmp_path / "bin", "[[3, 12, 1], []]")
    assert bpy.ops.neural_fields.find_environment() == {"FINISHED"}
    assert said() == [f"Found Python 3.12.1: {python} (PATH)"]
    assert environment_state.state().phase == "found"
    assert environment_state.choice() == str(python)
    assert environment_state.verified(str(python)) == python


def test_find_that_finds_nothing_says_why_and_what_to_do(bpy: ModuleType, tmp_path: Path) -> None:
    stand_in(tmp_path / "bin", '[[3, 12, 1], ["torch"]]')
    with pytest.raises(RuntimeError, match=r"it lacks torch.*Press Install"):
        bpy.ops.neural_fields.find_environment()
    assert environment_state.state().phase == "missing"
    assert environment_state.needs_setup()
    assert environment_state.choice() == ""


def test_install_makes_the_python_that_the_next_job_runs_in(
    bpy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheels = tiny_wheels.make_wheels(tmp_path / "Räder")
    folder = tmp_path / "environment"
    done = bpy.ops.neural_fields.install_environment(wheels_folder=str(wheels))
    assert done == {"FINISHED"}
    python = known_pythons.python_of(folder / "venv")
    assert python.is_file()
    assert environment_state.choice() == str(python)
    assert not environment_state.needs_setup()
    checked = {check.name: check.state for check in environment_state.checks(None)}
    assert checked["Torch"] == "ok"
    assert "Installing torch" in capsys.readouterr().out
    # In the next Blender nothing is known, but the stamp is there.
    environment_state.forget()
    assert environment_state.choice() == str(python)


def test_install_wants_online_access_or_a_folder_of_wheels(bpy: ModuleType, tmp_path: Path) -> None:
    assert not bpy.app.online_access
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.neural_fields.install_environment()
    assert not (tmp_path / "environment" / "venv").exists()


def test_an_installation_that_fails_says_why(bpy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="wheels folder has no torch"):
        bpy.ops.neural_fields.install_environment(wheels_folder=str(tmp_path / "empty"))
    assert environment_state.state().phase == "failed"
    assert environment_state.needs_setup()


def test_an_installation_in_a_window_is_stopped_by_its_cross(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a window nothing blocks: the operator starts it, the timer pumps, the cross stops it."""
    index = PackageIndex(tiny_wheels.make_wheels(tmp_path / "wheels", "2.13.0+cpu", 100_000))
    for name, value in index.variables.items():
        monkeypatch.setenv(name, value)
    index.hanging.add("torch")
    assert not bpy.ops.neural_fields.cancel_install.poll()
    installation = environment_state.install(make_plan(tmp_path / "environment", LINUX))
    try:
        assert environment_state.state().phase == "installing"
        assert not bpy.ops.neural_fields.install_environment.poll()
        assert not bpy.ops.neural_fields.find_environment.poll()
        assert not bpy.ops.neural_fields.check_environment.poll()
        assert index.hangs.wait(120)
        environment_state.pump()
        assert environment_state.state().phase == "installing"
        assert bpy.ops.neural_fields.cancel_install() == {"FINISHED"}
        assert installation.wait(30) == "cancelled"
        environment_state.pump()
        assert environment_state.state().phase == "cancelled"
        assert not environment_state.is_busy()
    finally:
        index.go_on.set()
        index.shutdown()
        index.server_close()


def test_the_commands_to_install_by_hand_are_copied(
    bpy: ModuleType, tmp_path: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bpy.ops.neural_fields.copy_install_command() == {"FINISHED"}
    ctypes.CDLL(None).fflush(None)
    text = capfd.readouterr().out
    assert str(tmp_path / "environment" / "venv") in text
    assert "torch==" in text
    # What is made by hand in that place is found.
    python = known_pythons.python_of(tmp_path / "environment" / "venv")
    stand_in(python.parent, "[[3, 11, 2], []]").rename(python)
    assert bpy.ops.neural_fields.find_environment() == {"FINISHED"}
    assert "the add-on's own environment" in said()[0]


def test_check_says_the_state_of_each(bpy: ModuleType, tmp_path: Path, said: Said) -> None:
    report = {"python": "3.12.1", "torch": "2.13.0", "memory_gb": 16.0, "backend": "0.1.0"}
    python = stand_in(tmp_path / "bin", "")
    # The search asks with a program, the check with a file.
    python.write_text(
        f"#!/bin/sh\ncase $2 in -X) echo '{json.dumps(report)}';; "
        "*) echo '[[3, 12, 1], []]';; esac\n"
    )
    assert bpy.ops.neural_fields.check_environment() == {"FINISHED"}
    lines = said()
    assert [line.split(":")[0] for line in lines] == [
        "Python", "Torch", "Device", "Memory", "Backend", "Disk",
    ]  # fmt: skip
    assert lines[1] == "Torch: torch 2.13.0"
    states = [check.state for check in environment_state.checks(None)]
    assert states[:5] == ["ok"] * 5


def test_logs_are_one_click_away_once_there_are_any(
    bpy: ModuleType, tmp_path: Path, said: Said
) -> None:
    for which in ("WORKER", "INSTALLATION"):
        assert bpy.ops.neural_fields.open_log(log=which) == {"CANCELLED"}
    assert said() == ["There is no log yet"] * 2
    (tmp_path / "environment" / "install.log").touch()
    (tmp_path / "logs").mkdir(exist_ok=True)
    for number, name in enumerate(("worker_2.log", "worker_1.log")):
        (tmp_path / "logs" / name).touch()
        os.utime(tmp_path / "logs" / name, (number, number))
    for which in ("WORKER", "INSTALLATION"):
        assert bpy.ops.neural_fields.open_log(log=which) == {"FINISHED"}
    lines = said()
    assert "worker_1.log" in lines[0], "the one that ran last"
    assert "install.log" in lines[1]


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_python", lambda _preference: Path(sys.executable))
    monkeypatch.setattr(
        session, "worker_command", lambda _python: [sys.executable, "-u", str(FAKE)]
    )


def test_stopping_the_worker_frees_it_and_the_next_job_starts_another(
    bpy: ModuleType, tmp_path: Path, fake_worker: None
) -> None:
    assert not bpy.ops.neural_fields.stop_worker.poll()

    def train(method: str) -> session.JobRecord:
        job = messages.Train(
            job_id=session.new_job_id(), capture="/a", run=str(tmp_path / "run"), method=method
        )
        return session.submit(job, "Train")

    hanging = train("hang")
    while session.worker() is None:
        session.pump(0.05)
    first = session._session.client
    assert first is not None
    session.release()  # what the button does in a window
    assert session.worker() is None
    assert (hanging.state, hanging.problem) == ("cancelled", "The worker was stopped.")
    assert session._session.leaving == [first]
    other = train("nerf")
    assert session._session.client is not first
    session.wait(other.job.job_id)
    assert other.state == "done"
    while session._session.leaving:
        session.pump(0.05)
    assert not first.alive
    assert first.died is not None
    assert first.died.expected
    assert bpy.ops.neural_fields.stop_worker() == {"FINISHED"}
    assert session.worker() is None


def test_a_worker_that_does_not_heed_is_ended_all_the_same(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_fields.addon.worker.client import Patience, WorkerClient

    deaf = Path(__file__).resolve().parents[1] / "worker" / "fake_worker.py"
    command = [sys.executable, "-I", "-u", str(deaf), "deaf"]
    patience = Patience(shutdown=0.1, terminate=0.1)
    client = WorkerClient(command, tmp_path / "log", patience)
    session._session.client = client
    while session.worker() is None:
        session.pump(0.05)
    session.release()
    while session._session.leaving:
        session.pump(0.05)
    assert client.died is not None
    assert client.died.expected
    with pytest.raises(ProcessLookupError):
        os.kill(client.pid, 0)


def test_a_job_uses_what_the_search_has_just_found(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking again would hold the interface up."""
    python = stand_in(tmp_path / "bin", "[[3, 12, 1], []]")
    bpy.ops.neural_fields.find_environment()
    monkeypatch.setattr(session, "find_python", lambda _: pytest.fail("it is known"))
    used = []
    monkeypatch.setattr(
        session, "worker_command", lambda found: used.append(found) or [sys.executable, str(FAKE)]
    )
    session.submit(messages.Inspect(job_id="a", path="x"), "Inspect")
    assert used == [python]


def test_the_preferences_are_shown_only_where_there_are_any(bpy: ModuleType) -> None:
    assert not bpy.ops.neural_fields.show_preferences.poll()
