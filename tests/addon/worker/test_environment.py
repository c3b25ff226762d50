# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from pathlib import Path

import pytest
from neural_fields.addon.worker import environment
from neural_fields.addon.worker.environment import candidates, check_python, find_python
from neural_fields.addon.worker.protocol import JobError

from tests.worker_python import WORKER_PYTHON

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def stand_in(folder: Path, text: str) -> Path:
    """A program that answers the check with a text."""
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    python.chmod(0o755)
    return python


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo '[[3, 11, 2], []]'", ""),
        ("echo '[[3, 9, 2], []]'", "older than 3.10"),
        ("echo '[[3, 12, 0], [\"torch\"]]'", "lacks torch"),
        ("echo hello", "no working Python"),
        ("exit 1", "no working Python"),
        ("sleep 5", "did not answer"),
    ],
)
def test_a_python_is_judged_by_what_it_says(tmp_path: Path, script: str, problem: str) -> None:
    check = check_python(stand_in(tmp_path, script), timeout_s=0.5)
    assert problem in check.problem
    assert bool(check.problem) == bool(problem)


def test_this_python_has_all_that_the_worker_needs() -> None:
    check = check_python(WORKER_PYTHON)
    assert check.problem == ""
    assert check.version.startswith("3.")


def test_an_explicit_choice_comes_first_and_is_never_passed_over(tmp_path: Path) -> None:
    good = stand_in(tmp_path / "good", "echo '[[3, 11, 2], []]'")
    other = stand_in(tmp_path / "other", "echo '[[3, 11, 2], []]'")
    variables = {environment.VARIABLE: str(other)}
    assert find_python(str(good), variables) == good
    assert find_python("", variables) == other
    with pytest.raises(JobError, match="preferences"):
        find_python(str(tmp_path / "missing"), variables)
    with pytest.raises(JobError, match=environment.VARIABLE):
        find_python("", {environment.VARIABLE: str(tmp_path / "missing")})


def test_the_search_goes_from_the_checkout_to_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "BACKEND", tmp_path / "checkout" / "neural_backend")
    bad = stand_in(tmp_path / "checkout" / ".venv" / "bin", "exit 1")
    active = stand_in(tmp_path / "active" / "bin", "echo '[[3, 11, 2], []]'")
    on_path = stand_in(tmp_path / "usr", "echo '[[3, 11, 2], []]'")
    variables = {"VIRTUAL_ENV": str(tmp_path / "active"), "PATH": str(tmp_path / "usr")}
    assert list(candidates(variables)) == [bad, active, on_path]
    assert find_python("", variables) == active


def test_finding_nothing_says_what_was_tried_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "BACKEND", tmp_path / "neural_backend")
    python = stand_in(tmp_path / "usr", 'echo \'[[3, 12, 0], ["torch", "numba"]]\'')
    with pytest.raises(JobError) as caught:
        find_python("", {"PATH": str(tmp_path / "usr")})
    assert f"{python} (it lacks torch, numba)" in caught.value.message
    assert environment.VARIABLE in caught.value.remedy


def test_blenders_python_variables_are_kept_from_children() -> None:
    variables = {"PYTHONHOME": "/a", "PYTHONPATH": "/b", "HOME": "/c", "GLIBC_TUNABLES": "mine"}
    kept = environment.child_variables(variables)
    assert kept == {"HOME": "/c", "GLIBC_TUNABLES": "mine"}
