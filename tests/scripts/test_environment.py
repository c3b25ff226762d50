# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from scripts import environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with nothing installed."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "STAMP", tmp_path / ".venv" / "stamp")
    return tmp_path


def test_an_environment_is_current_until_the_project_asks_for_something_else(
    checkout: Path,
) -> None:
    assert not environment.is_current()
    environment.VENV.mkdir()
    environment.STAMP.write_text(environment.fingerprint(), encoding="utf-8")
    assert environment.is_current()
    assert environment.ensure() == environment.VENV / "bin" / "python"
    (checkout / "pyproject.toml").write_text("[project]\n[tool.x]\na = 1", encoding="utf-8")
    assert environment.is_current()
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert not environment.is_current()


def test_a_library_that_cannot_be_loaded_is_named_by_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libraries = {"libc.so.6": "libc6", "libno-such-thing.so.9": "libno-such-thing9"}
    monkeypatch.setattr(environment, "SYSTEM_LIBRARIES", libraries)
    assert environment.missing_libraries() == ["libno-such-thing9"]


def test_without_root_the_user_is_told_exactly_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(environment.shutil, "which", lambda _: "/usr/bin/apt-get")
    with pytest.raises(environment.SetupError) as caught:
        environment.install_system_packages(["libegl1", "libgl1"], "Blender needs libraries")
    assert "sudo sh -c 'apt-get update && apt-get install" in str(caught.value)
    assert "libegl1 libgl1" in str(caught.value)


def test_a_folder_of_that_name_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    environment.VENV.mkdir()
    (environment.VENV / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(environment.SetupError, match="not a Python environment"):
        environment.make_venv(environment.VENV / "bin" / "python")
    assert (environment.VENV / "thesis.txt").exists()


def test_a_full_disk_is_told_before_anything_is_installed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = environment.shutil.disk_usage(checkout)._replace(free=10**9)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(environment.SetupError, match=r"1\.0 GB of free disk space"):
        environment.check_disk()


def test_a_failing_command_is_reported_with_its_last_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done, output = environment.run_quietly(["sh", "-c", "echo first; echo why >&2; exit 3"])
    assert not done
    assert output == ["first", "why"]
    assert "why" in capsys.readouterr().err
