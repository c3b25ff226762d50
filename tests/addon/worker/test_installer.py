# SPDX-License-Identifier: GPL-3.0-or-later
"""Real installations, with wheels so small that the environment itself is most of the work."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from neural_fields.addon.worker import base_python, install_plan, installer
from neural_fields.addon.worker.environment import check_python
from neural_fields.addon.worker.install_plan import Plan, make_plan
from neural_fields.addon.worker.install_state import lock, read_state, write_state
from neural_fields.addon.worker.installer import Installation, InstallProgress
from neural_fields.addon.worker.machine import Machine

from tests.addon.worker import tiny_wheels
from tests.addon.worker.package_index import PackageIndex

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="reads /proc"),
]

LINUX = Machine("linux", "x86_64")
Start = Callable[..., Installation]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wheels.make_wheels(tmp_path_factory.mktemp("Räder 轮"), "2.13.0+cpu", 300_000)


@pytest.fixture(autouse=True)
def one_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """All from this Python, so that no other of this computer takes part; and no waiting."""
    own = base_python.check_base(Path(sys.executable))
    assert own.problem == ""
    monkeypatch.setattr(installer, "usable_bases", lambda *_: [own])
    monkeypatch.setattr(installer, "PAUSE_S", 0.01)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts installations that the user's own settings of pip have no say in."""
    started = []

    def start(plan: Plan, **variables: str) -> Installation:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        settings = own | {"PIP_CONFIG_FILE": os.devnull} | variables
        started.append(Installation(plan, Path(sys.executable), settings).start())
        return started[-1]

    yield start
    for installation in started:
        installation.cancel()
        installation.wait(20)


@pytest.fixture
def index(wheels: Path) -> Iterator[PackageIndex]:
    server = PackageIndex(wheels)
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_folder_of_wheels_becomes_an_environment_without_any_network(
    tmp_path: Path, wheels: Path, start: Start
) -> None:
    folder = tmp_path / "Ümgebung mit Leerzeichen 环境"
    plan = make_plan(folder, LINUX, wheels_folder=str(wheels))
    first = start(plan, PIP_INDEX_URL="http://127.0.0.1:9/never")
    seen = []
    while first.outcome == "running":
        seen.append(first.progress)
        first.wait(0.01)
    assert (first.outcome, first.problem) == ("done", None)
    assert check_python(plan.python).problem == ""
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert {progress.step for progress in seen} >= {1, 3, 4}
    assert first.progress.share == 1.0
    assert first.probe is not None
    assert first.probe.torch == "2.13.0+cpu"
    assert read_state(folder).is_for(plan)
    assert {entry.name for entry in folder.iterdir()} == {
        "venv", "install.log", "installation.json", "installation.lock",
    }  # fmt: skip
    # Once more: nothing is left to do but to try it, and what a user has added stays.
    mark = plan.environment / "mine"
    mark.touch()
    again = start(plan)
    assert again.wait() == "done"
    assert mark.exists()
    # Another build: all is made anew.
    other = replace(plan, build="cuda")
    assert start(other).wait() == "done"
    assert not mark.exists()


def test_a_stopped_installation_ends_its_programs_and_goes_on_where_it_was(
    tmp_path: Path, start: Start, index: PackageIndex
) -> None:
    plan = make_plan(tmp_path / "env", LINUX)
    index.hanging.add("scipy")
    first = start(plan, **index.variables)
    assert index.hangs.wait(120)
    assert first._child is not None
    pid = first._child.pid
    assert is_running(pid)
    first.cancel()
    assert first.wait(30) == "cancelled"
    assert not is_running(pid)
    assert first.problem is None
    state = read_state(plan.folder)
    assert not state.is_complete
    assert set(state.done) == {"environment", "pip", "torch"}
    assert state.changing == "", "a download changes no environment"
    downloaded = {name for name, count in index.served.items() if count}
    assert {"torch", "numpy"} <= downloaded
    assert "scipy" not in downloaded
    made = plan.environment.stat().st_ino
    index.go_on.set()
    second = start(plan, **index.variables)
    assert second.wait() == "done", second.problem
    assert plan.environment.stat().st_ino == made, "the environment was whole and stayed"
    assert {index.served[name] for name in downloaded} == {1}, "each came over the network once"
    assert not (plan.folder / "cache").exists()
    assert check_python(plan.python).problem == ""


def test_a_download_that_breaks_off_is_taken_up_again_without_asking(
    tmp_path: Path, start: Start, index: PackageIndex
) -> None:
    plan = make_plan(tmp_path / "env", LINUX)
    index.breaking["torch"] = 2
    index.breaking["trimesh"] = installer.TRIES
    first = start(plan, **index.variables)
    assert first.wait() == "failed", "three times in a row is not a passing trouble"
    assert index.breaking["torch"] == 0
    assert index.served["torch"] == 1
    assert first.problem is not None
    assert "broke off" in first.problem.message
    assert "kept" in first.problem.remedy
    assert "torch" in read_state(plan.folder).done
    second = start(plan, **index.variables)
    assert second.wait() == "done", second.problem
    assert index.served["torch"] == 1


def test_an_environment_that_may_be_torn_is_made_anew(
    tmp_path: Path, wheels: Path, start: Start
) -> None:
    """Killed while packages were being unpacked: pip would take the torn ones for whole."""
    plan = make_plan(tmp_path / "env", LINUX, wheels_folder=str(wheels))
    assert start(plan).wait() == "done"
    torch = next(plan.environment.rglob("site-packages/torch/__init__.py"))
    torch.unlink()
    state = read_state(plan.folder)
    state.is_complete, state.changing = False, "torch"
    del state.done["torch"]
    write_state(plan.folder, state)
    assert start(plan).wait() == "done"
    assert torch.is_file()
    # What loses a package afterwards is noticed too, and is put right by the next try.
    shutil.rmtree(next(plan.environment.rglob("site-packages/numba")))
    broken = start(plan)
    assert broken.wait() == "failed"
    assert broken.problem is not None
    assert "numba" in broken.problem.message
    assert start(plan).wait() == "done"


def test_a_folder_that_is_something_else_is_left_alone(
    tmp_path: Path, wheels: Path, start: Start
) -> None:
    plan = make_plan(tmp_path, LINUX, wheels_folder=str(wheels))
    plan.environment.mkdir()
    (plan.environment / "thesis.txt").write_text("years of work", encoding="utf-8")
    installation = start(plan)
    assert installation.wait() == "failed"
    assert installation.problem is not None
    assert "no Python environment" in installation.problem.message
    assert (plan.environment / "thesis.txt").exists()


def test_a_missing_wheel_and_a_full_disk_are_said(
    tmp_path: Path, wheels: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = shutil.copytree(wheels, tmp_path / "poor")
    next(poor.glob("libigl*")).unlink()
    plan = make_plan(tmp_path / "env", LINUX, wheels_folder=str(poor))
    installation = start(plan)
    assert installation.wait() == "failed"
    assert installation.problem is not None
    assert "libigl" in installation.problem.message
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(install_plan.shutil, "disk_usage", lambda _: usage)
    refused = start(make_plan(tmp_path / "other", LINUX, wheels_folder=str(wheels)))
    assert refused.wait() == "failed"
    assert refused.problem is not None
    assert "free disk space" in refused.problem.message
    assert not (tmp_path / "other").exists()


def test_what_nothing_offers_and_nobody_must_have_is_asked_for_again_the_next_time(
    tmp_path: Path, wheels: Path, start: Start
) -> None:
    """COLMAP's package is not made for every computer."""
    poor = shutil.copytree(wheels, tmp_path / "poor")
    solver = next(poor.glob("pycolmap*"))
    away = solver.rename(tmp_path / solver.name)
    plan = make_plan(tmp_path / "env", LINUX, wheels_folder=str(poor))
    assert start(plan).wait() == "done"
    assert read_state(plan.folder).is_for(plan)
    assert not list(plan.environment.rglob("site-packages/pycolmap"))
    away.rename(solver)
    assert start(plan).wait() == "done"
    assert list(plan.environment.rglob("site-packages/pycolmap"))


def test_two_blenders_do_not_install_into_one_folder(
    tmp_path: Path, wheels: Path, start: Start
) -> None:
    plan = make_plan(tmp_path, LINUX, wheels_folder=str(wheels))
    with lock(tmp_path):
        installation = start(plan)
        assert installation.wait() == "failed"
    assert installation.problem is not None
    assert "Another Blender" in installation.problem.message
    assert not plan.environment.exists()


def test_a_base_without_pip_borrows_it(
    tmp_path: Path, wheels: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's Python without the package python3-venv."""
    bare = replace(base_python.check_base(Path(sys.executable)), has_pip=False)
    monkeypatch.setattr(installer, "usable_bases", lambda *_: [bare])
    plan = make_plan(tmp_path, LINUX, wheels_folder=str(wheels))
    steps = (plan.steps[0],)
    installation = start(replace(plan, steps=steps))
    assert installation.wait() == "done", installation.problem
    done = subprocess.run([plan.python, "-I", "-m", "pip", "--version"], capture_output=True)
    assert done.returncode == 0
    assert str(plan.environment).encode() in done.stdout


def test_where_one_base_fails_the_next_is_taken(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    good = base_python.check_base(Path(sys.executable))
    bases = [replace(good, python=broken), good]
    monkeypatch.setattr(installer, "usable_bases", lambda *_: bases)
    plan = make_plan(tmp_path / "env", LINUX)
    installation = start(replace(plan, steps=plan.steps[:1]))
    assert installation.wait() == "done", installation.problem
    assert plan.python.is_file()


def test_a_stamp_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    for text in ("", "[]", '{"build": "cpu", "strange": 1}', "{"):
        (tmp_path / "installation.json").write_text(text, encoding="utf-8")
        assert read_state(tmp_path).done == {}
    assert read_state(tmp_path / "nowhere").build == ""
    state = read_state(tmp_path)
    state.done["torch"] = "1"
    write_state(tmp_path, state)
    assert json.loads((tmp_path / "installation.json").read_text())["done"] == {"torch": "1"}


def test_progress_is_told_in_words_and_to_the_terminal() -> None:
    progress = InstallProgress(3, 5, "Installing torch (CPU)", "torch-2.13.0", 45.2, 191.8, 0.25)
    assert progress.text == "Installing torch (CPU) · torch-2.13.0 · 45 of 192 MB"
    message = progress.as_message()
    assert (message.done, message.total, message.unit) == (25, 100, "%")
