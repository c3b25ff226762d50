# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import check
from scripts import test as command

Outcome = command.blenders.Outcome


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Runs nothing; `failing` is the first word after `-m` of what shall fail."""
    seen = SimpleNamespace(run=[], failing="", blenders=[])

    def run(arguments: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        seen.run.append(arguments[2:])
        return subprocess.CompletedProcess(arguments, int(arguments[2] == seen.failing))

    def ran(versions: list[str], words: tuple[str, ...]) -> list[Outcome]:
        seen.blenders.append((*versions, *words))
        return [Outcome(one, passed=1, failed=int(one == seen.failing)) for one in versions]

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(check.environment, "enter", lambda: None)
    monkeypatch.setattr(command.blenders, "run", lambda versions, words=(): ran(versions, words))
    monkeypatch.setattr(command.blenders, "run_oldest_and_newest", lambda: ran(["ends"], ()))
    monkeypatch.delenv("CI", raising=False)
    return seen


def test_one_command_checks_style_and_types_and_runs_the_tests(commands: SimpleNamespace) -> None:
    assert command.main(["-k", "rays"]) == 0
    assert [line[0] for line in commands.run] == ["ruff", "ruff", "mypy", "pytest"]
    assert commands.run[-1] == ["pytest", "-k", "rays"]


def test_all_tests_are_spread_over_the_cores(commands: SimpleNamespace) -> None:
    assert command.main([]) == 0
    assert commands.run[-1] == ["pytest", *command.WHOLE_SUITE]
    processes = int(command.WHOLE_SUITE[0].removeprefix("--numprocesses="))
    assert 1 <= processes <= command.MOST_PROCESSES


@pytest.mark.parametrize("failing", ["ruff", "mypy", "pytest"])
def test_a_failure_of_any_part_fails_the_command_but_the_others_still_run(
    commands: SimpleNamespace, failing: str
) -> None:
    commands.failing = failing
    assert command.main([]) == 1
    assert len(commands.run) == 4


def test_other_blenders_are_tested_alone_and_only_where_they_are_asked_for(
    commands: SimpleNamespace,
) -> None:
    assert command.main([]) == 0
    assert commands.blenders == []
    assert command.main(["--blenders", "4.2, 5.2", "-k", "rays"]) == 0
    assert command.main(["--all-blenders"]) == 0
    assert commands.blenders == [("4.2", "5.2", "-k", "rays"), ("4.2", "4.5", "5.0", "5.1", "5.2")]
    assert [line[0] for line in commands.run] == ["ruff", "ruff", "mypy", "pytest"]
    commands.failing = "5.2"
    assert command.main(["--all-blenders"]) == 1


def test_a_blender_that_nobody_knows_is_refused(
    commands: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["--blenders", "4.2,2.79"])
    assert "no Blender '2.79' here; known: 4.2, 4.5" in capsys.readouterr().err


def test_continuous_integration_tests_the_oldest_and_the_newest_after_the_whole_suite(
    commands: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "1")
    assert command.main([]) == 0
    assert commands.blenders == [("ends",)]
    assert command.main(["-k", "rays"]) == 0
    assert len(commands.blenders) == 1
    commands.failing = "ends"
    assert command.main([]) == 1


def test_what_continuous_integration_runs_is_the_test_command(tmp_path: Path) -> None:
    """By a stand-in for Python, called from another folder; it asks for the other Blenders."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\necho "$CI $PWD $*" >{tmp_path}/called\n', encoding="utf-8")
    python.chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    script = command.environment.ROOT / ".ci" / "run"
    subprocess.run(["bash", script], check=True, cwd=tmp_path, env=variables)
    called = (tmp_path / "called").read_text(encoding="utf-8")
    assert called == f"true {command.environment.ROOT} scripts/test.py\n"


def test_the_tests_run_in_the_projects_own_environment() -> None:
    assert check.environment is command.environment
    assert sys.modules["environment"] is check.environment
