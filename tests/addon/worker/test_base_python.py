# SPDX-License-Identifier: GPL-3.0-or-later
import json
import platform
import sys
import sysconfig
from pathlib import Path

import pytest
from neural_fields.addon.worker import base_python
from neural_fields.addon.worker.base_python import (
    base_candidates,
    check_base,
    pip_wheel,
    usable_bases,
)
from neural_fields.addon.worker.protocol import JobError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")

HERE = platform.machine().lower()


def stand_in(
    folder: Path, version: list[int], machine: str = HERE, wide: bool = True,
    unlocked: bool = False, venv: bool = True, pip: bool = True, headers: bool = False,
    name: str = "python3",
) -> Path:  # fmt: skip
    """A program that answers as such a Python would."""
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / name
    answer = json.dumps([version, machine, wide, unlocked, venv, pip, headers])
    python.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    python.chmod(0o755)
    return python


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"version": [3, 11, 2]}, ""),
        ({"version": [3, 9, 1]}, "older than 3.10"),
        ({"version": [3, 12, 0], "machine": "sparc"}, "made for sparc"),
        ({"version": [3, 12, 0], "wide": False}, "32-bit"),
        ({"version": [3, 13, 0], "unlocked": True}, "free-threaded"),
        ({"version": [3, 12, 0], "venv": False}, "lacks the module venv"),
    ],
)
def test_a_python_is_judged_by_whether_torch_can_live_there(
    tmp_path: Path, answer: dict, problem: str
) -> None:
    base = check_base(stand_in(tmp_path, **answer))
    assert problem in base.problem
    assert bool(base.problem) == bool(problem)


def test_what_is_no_python_is_not_even_started(tmp_path: Path) -> None:
    """Some Blenders name themselves as the interpreter, and would open a window."""
    traitor = tmp_path / "blender"
    traitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n", encoding="utf-8")
    traitor.chmod(0o755)
    assert "no Python interpreter" in check_base(traitor).problem
    assert not (tmp_path / "started").exists()
    assert "no Python interpreter" in check_base(tmp_path / "python-gone").problem
    silent = stand_in(tmp_path, [3, 11])
    silent.write_text("#!/bin/sh\nexit 1\n")
    assert "no working Python" in check_base(silent).problem


def test_this_python_will_do() -> None:
    base = check_base(Path(sys.executable))
    assert base.problem == ""
    assert base.version == sys.version_info[:3]
    headers = Path(sysconfig.get_config_var("INCLUDEPY"), "Python.h")
    assert base.has_headers == headers.is_file()


def test_a_python_with_headers_comes_first_as_triton_builds_against_them(tmp_path: Path) -> None:
    own = stand_in(tmp_path / "blender", [3, 11, 1])
    eleven = stand_in(tmp_path / "a", [3, 11, 7], name="python3.11")
    ten = stand_in(tmp_path / "a", [3, 10, 1], name="python3.10", headers=True)
    found = usable_bases(own, {"PATH": str(tmp_path / "a")})
    assert [base.python for base in found] == [ten, eleven, own]


def test_blenders_own_comes_after_those_that_outlive_it_but_before_ones_too_new(
    tmp_path: Path,
) -> None:
    own = stand_in(tmp_path / "blender", [3, 13, 1])
    eleven = stand_in(tmp_path / "a", [3, 11, 7], name="python3.11")
    twelve = stand_in(tmp_path / "a", [3, 12, 1], name="python3.12")
    bare = stand_in(tmp_path / "a", [3, 10, 1], pip=False, name="python3.10")
    newest = stand_in(tmp_path / "a", [3, 99, 0], name="python3")
    stand_in(tmp_path / "a", [3, 8, 0], name="python")
    found = usable_bases(own, {"PATH": str(tmp_path / "a")})
    assert [base.python for base in found] == [eleven, twelve, bare, own, newest]


def test_without_a_pip_to_borrow_a_python_has_to_bring_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_python, "pip_wheel", lambda: None)
    own = stand_in(tmp_path / "blender", [3, 13, 1])
    stand_in(tmp_path / "a", [3, 11, 7], pip=False)
    assert [base.python for base in usable_bases(own, {"PATH": str(tmp_path / "a")})] == [own]


def test_where_there_is_none_each_is_named_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_python.sys, "platform", "linux")
    monkeypatch.setattr(base_python.shutil, "which", lambda name, path=None: f"/bin/{name}")
    monkeypatch.setattr(base_python, "base_candidates", lambda _: [lacking])
    lacking = stand_in(tmp_path / "a", [3, 11, 7], venv=False)
    own = stand_in(tmp_path / "blender", [3, 7, 0])
    with pytest.raises(JobError) as caught:
        usable_bases(own, {})
    assert f"{lacking} (it lacks the module venv)" in caught.value.message
    assert f"{own} (it is Python 3.7.0, older than 3.10)" in caught.value.message
    assert "apt install python3-venv" in caught.value.remedy


def test_links_to_one_python_count_once_and_the_stores_not_at_all(tmp_path: Path) -> None:
    one = stand_in(tmp_path / "a", [3, 11, 7], name="python3.11")
    (tmp_path / "a" / "python3").symlink_to(one)
    store = tmp_path / "WindowsApps"
    stand_in(store, [3, 12, 0], name="python3.12")
    assert list(base_candidates({"PATH": f"{store}:{tmp_path / 'a'}"})) == [one]


def test_the_newest_pip_of_a_folder_is_taken_before_the_one_that_python_brings(
    tmp_path: Path,
) -> None:
    own = pip_wheel()
    assert own is None or own.name.startswith("pip-")
    assert pip_wheel(str(tmp_path)) == own
    for version in ("24.0", "25.3"):
        (tmp_path / f"pip-{version}-py3-none-any.whl").touch()
    assert pip_wheel(str(tmp_path)) == tmp_path / "pip-25.3-py3-none-any.whl"
