# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
from types import SimpleNamespace

import pytest

from scripts import check
from scripts import test as command


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Runs nothing; `failing` is the first word after `-m` of what shall fail."""
    seen = SimpleNamespace(run=[], failing="")

    def run(arguments: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        seen.run.append(arguments[2:])
        return subprocess.CompletedProcess(arguments, int(arguments[2] == seen.failing))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(check.environment, "enter", lambda: None)
    return seen


def test_one_command_checks_style_and_types_and_runs_the_tests(commands: SimpleNamespace) -> None:
    assert command.main(["-k", "rays"]) == 0
    assert [line[0] for line in commands.run] == ["ruff", "ruff", "mypy", "pytest"]
    assert commands.run[-1] == ["pytest", "-k", "rays"]


@pytest.mark.parametrize("failing", ["ruff", "mypy", "pytest"])
def test_a_failure_of_any_part_fails_the_command_but_the_others_still_run(
    commands: SimpleNamespace, failing: str
) -> None:
    commands.failing = failing
    assert command.main([]) == 1
    assert len(commands.run) == 4


def test_the_tests_run_in_the_projects_own_environment() -> None:
    assert check.environment is command.environment
    assert sys.modules["environment"] is check.environment
