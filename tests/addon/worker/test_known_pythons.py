# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from pathlib import Path

import pytest
from neural_fields.addon.worker import known_pythons
from neural_fields.addon.worker.known_pythons import Places, candidates, python_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="environments look otherwise there")


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without an environment, so that this one's is out of the way."""
    monkeypatch.setattr(known_pythons, "BACKEND", tmp_path / "checkout" / "neural_backend")
    return tmp_path / "checkout"


def environment(folder: Path) -> Path:
    python = python_of(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    return python


def test_places_are_gone_through_from_the_nearest_to_the_farthest(
    tmp_path: Path, checkout: Path
) -> None:
    home, project, own = tmp_path / "hôme", tmp_path / "Projekt ä", tmp_path / "own"
    conda = tmp_path / "somewhere" / "conda env"
    (home / ".conda").mkdir(parents=True)
    (home / ".conda" / "environments.txt").write_text(
        f"{conda}\n\n{tmp_path / 'gone'}\n", encoding="utf-8"
    )
    expected = [
        environment(tmp_path / "variable"),
        environment(own / "venv"),
        environment(checkout / ".venv"),
        environment(tmp_path / "active"),
        environment(tmp_path / "prefix"),
        environment(project / ".venv"),
        environment(project / "venv"),
        environment(home / ".venv"),
        environment(conda),
        environment(home / "miniforge3" / "envs" / "nerf"),
        environment(home / "miniforge3"),
        environment(home / ".pyenv" / "versions" / "3.12.1"),
        environment(home / ".pyenv" / "versions" / "3.12.1" / "envs" / "mine"),
    ]
    variables = {
        "NEURAL_FIELDS_PYTHON": str(expected[0]),
        "VIRTUAL_ENV": str(tmp_path / "active"),
        "CONDA_PREFIX": str(tmp_path / "prefix"),
        "HOME": str(home),
    }
    found = list(candidates(variables, Places(own, project)))
    assert [candidate.python for candidate in found] == expected
    assert all(candidate.origin for candidate in found)


def test_each_python_comes_once_and_only_if_it_is_there(tmp_path: Path) -> None:
    python = environment(tmp_path / "one")
    variables = {"VIRTUAL_ENV": str(tmp_path / "one"), "CONDA_PREFIX": str(tmp_path / "one")}
    assert [found.python for found in candidates(variables)] == [python]
    assert list(candidates({"VIRTUAL_ENV": str(tmp_path / "none")})) == []


def test_environments_that_share_their_python_are_kept_apart(tmp_path: Path) -> None:
    """Most environments' Python is a link to the one that they were made from."""
    base = environment(tmp_path / "base")
    linked = python_of(tmp_path / "linked")
    linked.parent.mkdir(parents=True)
    linked.symlink_to(base)
    variables = {"VIRTUAL_ENV": str(tmp_path / "base"), "CONDA_PREFIX": str(tmp_path / "linked")}
    assert [found.python for found in candidates(variables)] == [base, linked]


def test_after_an_update_of_blender_the_environment_of_the_old_one_is_found(
    tmp_path: Path,
) -> None:
    inside = Path("extensions/.user/user_default/neural_fields/environment")
    own = tmp_path / "blender" / "5.2" / inside
    newer = environment(tmp_path / "blender" / "4.10" / inside / "venv")
    older = environment(tmp_path / "blender" / "4.2" / inside / "venv")
    (tmp_path / "blender" / "notes").mkdir()
    found = list(candidates({}, Places(own=own)))
    assert [candidate.python for candidate in found] == [newer, older]
    assert found[0].origin == "another Blender's environment"
