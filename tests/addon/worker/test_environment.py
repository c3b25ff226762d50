# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from pathlib import Path

import pytest
from neural_fields.addon.worker import environment, known_pythons
from neural_fields.addon.worker.environment import Search, check_python, find_python
from neural_fields.addon.worker.known_pythons import Places, candidates
from neural_fields.addon.worker.protocol import JobError

from tests.worker_python import WORKER_PYTHON

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")

GOOD = "echo '[[3, 11, 2], []]'"


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
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "checkout" / "neural_backend")
    bad = stand_in(tmp_path / "checkout" / ".venv" / "bin", "exit 1")
    active = stand_in(tmp_path / "active" / "bin", GOOD)
    on_path = stand_in(tmp_path / "usr", GOOD)
    variables = {"VIRTUAL_ENV": str(tmp_path / "active"), "PATH": str(tmp_path / "usr")}
    assert [found.python for found in candidates(variables)] == [bad, active, on_path]
    assert find_python("", variables) == active


def test_finding_nothing_says_what_was_tried_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "neural_backend")
    python = stand_in(tmp_path / "usr", 'echo \'[[3, 12, 0], ["torch", "numba"]]\'')
    with pytest.raises(JobError) as caught:
        find_python("", {"PATH": str(tmp_path / "usr")})
    assert f"{python} (it lacks torch, numba)" in caught.value.message
    assert environment.VARIABLE in caught.value.remedy
    assert "Install" in caught.value.remedy


def test_a_search_in_its_own_thread_tells_which_was_found_and_why_others_were_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "neural_backend")
    own = stand_in(tmp_path / "own" / "venv" / "bin", "exit 1")
    conda = stand_in(tmp_path / "conda" / "bin", GOOD)
    variables = {"CONDA_PREFIX": str(tmp_path / "conda")}
    search = Search("", variables, Places(own=tmp_path / "own")).start()
    found = search.wait(20)
    assert found is not None
    assert found.check is not None
    assert (found.check.python, found.check.version) == (conda, "3.11.2")
    assert "CONDA_PREFIX" in found.origin
    ((refused, check),) = found.refused
    assert (refused.python, refused.origin) == (own, "the add-on's own environment")
    assert "no working Python" in check.problem


def test_a_search_by_the_button_goes_on_after_a_bad_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "neural_backend")
    chosen = stand_in(tmp_path / "chosen", "exit 1")
    good = stand_in(tmp_path / "usr", GOOD)
    found = Search(str(chosen), {"PATH": str(tmp_path / "usr")}, insists=False).run()
    assert found.check is not None
    assert found.check.python == good
    assert [candidate.python for candidate, _ in found.refused] == [chosen]
    insisting = Search(str(chosen), {"PATH": str(tmp_path / "usr")}).run()
    assert insisting.check is None
    assert str(chosen) in insisting.problem
    assert insisting.remedy


def test_a_search_that_is_given_up_asks_no_further_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "neural_backend")
    stand_in(tmp_path / "usr", GOOD)
    search = Search("", {"PATH": str(tmp_path / "usr")})
    search.cancel()
    found = search.run()
    assert found.check is None
    assert found.refused == ()


def test_blenders_python_variables_are_kept_from_children() -> None:
    variables = {"PYTHONHOME": "/a", "PYTHONPATH": "/b", "HOME": "/c", "GLIBC_TUNABLES": "mine"}
    kept = environment.child_variables(variables)
    assert kept == {"HOME": "/c", "GLIBC_TUNABLES": "mine"}
