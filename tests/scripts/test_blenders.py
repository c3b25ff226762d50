# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments of other Blenders and the counts of their tests; nothing is installed here."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomllib

from scripts import test as command

blenders, environment = command.blenders, command.environment

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="{tests}"
failures="{failures}" errors="{errors}" skipped="{skipped}"/></testsuites>"""


def stand_in(path: Path, text: str) -> Path:
    """A program that is called as Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine that has nothing but what a test puts there."""
    monkeypatch.setattr(blenders, "FOLDER", tmp_path / "project" / ".blenders")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_every_version_from_the_manifests_oldest_on_is_known() -> None:
    manifest = tomllib.loads((environment.ROOT / "blender_manifest.toml").read_text("utf-8"))
    oldest = next(iter(blenders.PYTHON_OF))
    assert manifest["blender_version_min"] == f"{oldest}.0"
    assert list(blenders.PYTHON_OF) == sorted(blenders.PYTHON_OF)


def test_their_environments_are_neither_versioned_nor_shipped() -> None:
    name = f"/{blenders.FOLDER.name}/"
    assert name in (environment.ROOT / ".gitignore").read_text("utf-8").splitlines()
    manifest = tomllib.loads((environment.ROOT / "blender_manifest.toml").read_text("utf-8"))
    assert name in manifest["build"]["paths_exclude_pattern"]


@pytest.mark.parametrize(
    "place",
    [
        "bin/python3.99",
        ".pyenv/versions/3.99.1/bin/python3.99",
        ".local/share/uv/python/cpython-3.99.1-linux-x86_64-gnu/bin/python3.99",
        "project/.blenders/python/cpython-3.99.1-linux-x86_64-gnu/bin/python3.99",
    ],
)
def test_a_python_is_found_wherever_it_is_usually_put(home: Path, place: str) -> None:
    python = stand_in(home / place, "exit 0")
    assert blenders.find_or_fetch_python((3, 99)) == python


def test_a_stand_in_that_runs_no_python_is_passed_over(home: Path) -> None:
    stand_in(home / "bin" / "python3.99", "echo 'python3.99: command not found' >&2; exit 127")
    python = stand_in(home / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", "exit 0")
    assert blenders.find_or_fetch_python((3, 99)) == python


def test_a_python_that_is_missing_is_fetched_into_the_project(home: Path) -> None:
    made = "$UV_PYTHON_INSTALL_DIR/cpython-$3.0-linux/bin"
    stand_in(
        home / "bin" / "uv",
        f'PATH=/usr/bin:/bin; mkdir -p "{made}"; cp /bin/true "{made}/python$3"',
    )
    found = blenders.find_or_fetch_python((3, 99))
    assert found == blenders.FOLDER / "python" / "cpython-3.99.0-linux" / "bin" / "python3.99"


def test_where_none_can_be_fetched_it_says_how_to_get_one(home: Path) -> None:
    stand_in(home / "bin" / "uv", "echo 'no network' >&2; exit 1")
    with pytest.raises(environment.SetupError) as caught:
        blenders.find_or_fetch_python((3, 99))
    for way in ("uv python install 3.99", "pyenv install 3.99", "python3.99-venv"):
        assert way in str(caught.value)


def test_without_the_newest_blenders_python_the_newest_of_the_older_ones_is_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr(blenders, "run", lambda versions: asked.append(tuple(versions)) or [])
    monkeypatch.setattr(blenders, "find_or_fetch_python", lambda version: Path("python"))
    monkeypatch.setattr(blenders, "ensure", lambda version: Path("python"))
    blenders.run_oldest_and_newest()

    def refuse(version: tuple[int, int]) -> Path:
        raise environment.SetupError("Python 3.13 is missing.")

    monkeypatch.setattr(blenders, "find_or_fetch_python", refuse)
    blenders.run_oldest_and_newest()
    assert asked == [("4.2", "5.2"), ("4.2", "5.0")]
    assert "Blender 5.2 is not tested here, 5.0 is: Python 3.13" in capsys.readouterr().out


def test_a_version_that_cannot_be_fetched_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def ensure(version: str) -> Path:
        if version == "4.2":
            raise environment.SetupError("no network")
        return Path("python")

    monkeypatch.setattr(blenders, "run", lambda versions: asked.append(tuple(versions)) or [])
    monkeypatch.setattr(blenders, "find_or_fetch_python", lambda version: Path("python"))
    monkeypatch.setattr(blenders, "ensure", ensure)
    blenders.run_oldest_and_newest()
    assert asked == [("5.2",)]
    assert "Blender 4.2 is NOT tested here: no network" in capsys.readouterr().out


def test_an_environment_is_made_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = []
    monkeypatch.setattr(blenders, "find_or_fetch_python", lambda version: Path("python3.13"))
    monkeypatch.setattr(environment, "missing_libraries", list)
    monkeypatch.setattr(environment, "ROOT", home)
    monkeypatch.setattr(environment, "pip", lambda python, *words: installed.append(words))

    def make(command: list[str]) -> tuple[bool, list[str]]:
        stand_in(Path(command[-1]) / "bin" / "python", "exit 0")
        return True, []

    monkeypatch.setattr(environment, "run_quietly", make)
    python = blenders.ensure("5.2")
    assert python == blenders.FOLDER / "5.2" / "bin" / "python"
    assert blenders.ensure("5.2") == python
    assert installed == [("install", "bpy==5.2.*", *blenders.PACKAGES)]
    assert not any("torch" in package for package in blenders.PACKAGES)
    monkeypatch.setattr(blenders, "PACKAGES", ("pytest>=9",))
    blenders.ensure("5.2")
    assert len(installed) == 2


def test_the_counts_are_those_of_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(tests=12, failures=2, errors=1, skipped=4), encoding="utf-8")
    found = blenders.read_report("5.2", report, status=1)
    assert (found.passed, found.failed, found.skipped, found.problem) == (5, 3, 4, "")
    assert not found.is_green


@pytest.mark.parametrize(
    ("tests", "status", "green"),
    [(3, 0, True), (3, 139, False), (0, 5, False), (3, 2, False)],
)
def test_a_blender_that_crashes_or_tests_nothing_is_not_green(
    tmp_path: Path, tests: int, status: int, green: bool
) -> None:
    report = tmp_path / "report.xml"
    text = REPORT.format(tests=tests, failures=0, errors=0, skipped=0)
    report.write_text(text, encoding="utf-8")
    found = blenders.read_report("4.2", report, status)
    assert found.is_green == green
    assert (str(status) in found.problem) == (status != 0)
    assert not blenders.read_report("4.2", tmp_path / "missing.xml", -11).is_green


@pytest.mark.parametrize("shown_late", [False, True])
def test_a_blender_that_hangs_is_ended_and_is_not_green(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown_late: bool
) -> None:
    monkeypatch.setattr(blenders, "LONGEST_S", 0.2)
    python = stand_in(tmp_path / "python", "exec sleep 60")
    outcome = blenders.run_tests("5.2", python, shown_late=shown_late)
    assert not outcome.is_green
    assert "did not end" in outcome.problem
    assert outcome.seconds < 30


def test_several_blenders_are_tested_at_once_and_told_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each stand-in waits for the other, so one after another they would not end."""
    report = REPORT.format(tests=3, failures=0, errors=0, skipped=0).replace('"', "'")

    def ensure(version: str) -> Path:
        if version == "5.0":
            raise environment.SetupError("no network")
        other = {"4.2": "5.2", "5.2": "4.2"}[version]
        return stand_in(
            tmp_path / f"python_{version}",
            f"echo said by {version}; touch {tmp_path}/began_{version}; "
            f"while ! test -e {tmp_path}/began_{other}; do sleep 0.02; done; "
            'for word in "$@"; do case $word in --junitxml=*) file=${word#*=};; esac; done; '
            f'printf "%s" "{report}" >$file',
        )

    monkeypatch.setattr(blenders, "ensure", ensure)
    monkeypatch.setattr(blenders, "LONGEST_S", 60)
    monkeypatch.setattr(blenders.os, "cpu_count", lambda: 2)
    outcomes = blenders.run(["4.2", "5.0", "5.2"])
    assert [one.version for one in outcomes] == ["4.2", "5.0", "5.2"]
    assert [one.is_green for one in outcomes] == [True, False, True]
    said = capsys.readouterr().out
    for version in ("4.2", "5.2"):
        assert f"Blender {version}:\nsaid by {version}" in said
    assert "5.0: no network" in said


def test_the_table_has_a_line_a_version_and_says_what_could_not_be_tested() -> None:
    lines = blenders.table(
        [
            blenders.Outcome("4.2", 250, 1, 3, 62.4),
            blenders.Outcome("5.2", problem="Python 3.13 is missing."),
        ]
    ).splitlines()
    assert lines[0].split() == ["Blender", "passed", "failed", "skipped", "seconds"]
    assert lines[1].split() == ["4.2", "250", "1", "3", "62"]
    assert lines[2].split() == ["5.2", "0", "0", "0", "0"]
    assert lines[3] == "5.2: Python 3.13 is missing."


def test_files_that_are_named_replace_the_add_ons_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in for Blender's Python that writes down how it was called."""
    python = stand_in(
        tmp_path / "python",
        f'echo "$@" >{tmp_path}/called; echo $NEURAL_FIELDS_PYTHON >>{tmp_path}/called; '
        "test -d $BLENDER_USER_RESOURCES || exit 3; exit 0",
    )
    outcome = blenders.run_tests("5.2", python, ["tests/addon/test_schedule.py", "-x"])
    assert outcome.problem == "pytest ended with status 0 and left no report"
    words, worker = (tmp_path / "called").read_text().splitlines()
    assert words.endswith(" tests/addon/test_schedule.py -x")
    assert worker == sys.executable
    blenders.run_tests("5.2", python, ["-x"])
    assert (
        (tmp_path / "called")
        .read_text()
        .split("\n")[0]
        .endswith(" -x tests/addon tests/end_to_end/test_extension.py")
    )
