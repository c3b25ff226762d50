# SPDX-License-Identifier: GPL-3.0-or-later
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from neural_fields.addon.worker import install_plan
from neural_fields.addon.worker.install_plan import (
    INDEX,
    check_disk,
    choose_build,
    make_plan,
    manual_commands,
    read_requirements,
)
from neural_fields.addon.worker.machine import Machine
from neural_fields.addon.worker.protocol import BACKEND, JobError

from scripts import environment

LINUX = Machine("linux", "x86_64")
WINDOWS = Machine("win32", "amd64")
MAC = Machine("darwin", "arm64")
NEW_CARD = Machine("linux", "x86_64", (581, 42), "RTX 4090", (8, 9))
OLD_DRIVER = Machine("linux", "x86_64", (550, 54, 14), "RTX 3090", (8, 6))
OLD_CARD = Machine("linux", "x86_64", (581, 42), "GTX 1080", (6, 1))
ANCIENT = Machine("linux", "x86_64", (470, 82), "K80", (3, 7))
ON_WINDOWS = Machine("win32", "amd64", (581, 42), "RTX 4090", (8, 9))

CPU, CUDA_13, CUDA_12 = (INDEX + name for name in ("cpu", "cu130", "cu126"))


def test_the_release_of_torch_is_the_one_that_the_project_is_tested_with() -> None:
    assert install_plan.TORCH == environment.TORCH


def test_the_list_that_is_shipped_is_that_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((BACKEND.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert list(read_requirements()) == project["dependencies"]
    assert project["optional-dependencies"]["photos"] == [install_plan.SOLVER]
    assert project["optional-dependencies"]["compiler"] == [install_plan.COMPILER]


@pytest.mark.parametrize(
    ("machine", "build", "sources"),
    [
        (LINUX, "cpu", ["torch==2.13.0+cpu", f"torch==2.13.0 --index-url {CPU}"]),
        (WINDOWS, "cpu", ["torch==2.13.0", "torch>=2.6,<3"]),
        (MAC, "cpu", ["torch==2.13.0", "torch>=2.6,<3"]),
        (NEW_CARD, "cuda", ["torch==2.13.0", f"torch==2.13.0 --index-url {CUDA_13}"]),
        (OLD_DRIVER, "cuda", [f"torch==2.13.0 --index-url {CUDA_12}"]),
        (OLD_CARD, "cuda", [f"torch==2.13.0 --index-url {CUDA_12}"]),
        (ANCIENT, "cpu", ["torch==2.13.0+cpu"]),
        (ON_WINDOWS, "cuda", [f"torch==2.13.0 --index-url {CUDA_13}"]),
    ],
)
def test_each_kind_of_computer_gets_its_torch(
    tmp_path: Path, machine: Machine, build: str, sources: list[str]
) -> None:
    plan = make_plan(tmp_path, machine)
    assert plan.build == build
    (step,) = (step for step in plan.steps if step.key == "torch")
    assert [" ".join(attempt) for attempt in step.attempts][: len(sources)] == sources
    assert "torch>=2.6,<3" in step.attempts[-1], "any release will do in the end"
    keys = ["environment", "pip", "torch", "packages", "photos", "check"]
    assert [step.key for step in plan.steps] == keys
    (packages,) = (step for step in plan.steps if step.key == "packages")
    assert packages.attempts == (
        tuple(line for line in read_requirements() if "torch" not in line),
    )


def test_cuda_on_linux_brings_a_compiler_where_there_is_none(tmp_path: Path) -> None:
    bare = make_plan(tmp_path, replace(NEW_CARD, has_compiler=False))
    whole = make_plan(tmp_path, NEW_CARD)
    (step,) = (step for step in bare.steps if step not in whole.steps)
    assert (step.key, step.attempts) == ("compiler", ((install_plan.COMPILER,),))
    assert step.is_optional, "torch alone learns too, only slower"
    assert bare.steps[-1].key == "check"
    assert bare.installed_gb > whole.installed_gb + 0.3
    assert install_plan.COMPILER in shlex.split(manual_commands(bare))


@pytest.mark.parametrize(
    ("machine", "choice"), [(NEW_CARD, "cpu"), (LINUX, "auto"), (ON_WINDOWS, "auto")]
)
def test_who_has_no_use_for_a_compiler_gets_none(
    tmp_path: Path, machine: Machine, choice: install_plan.Choice
) -> None:
    plan = make_plan(tmp_path, replace(machine, has_compiler=False), choice)
    assert "compiler" not in [step.key for step in plan.steps]


def test_the_choice_of_the_user_counts_and_what_is_odd_is_noted() -> None:
    assert choose_build(NEW_CARD, "cpu") == ("cpu", "")
    assert choose_build(LINUX, "auto") == ("cpu", "")
    build, note = choose_build(LINUX, "cuda")
    assert build == "cuda"
    assert "No NVIDIA driver" in note
    assert "470.82 is older than 525.60" in choose_build(ANCIENT, "auto")[1]
    assert choose_build(ANCIENT, "cuda")[0] == "cuda"
    assert choose_build(MAC, "cuda") == ("cpu", "macOS has no CUDA")


def test_a_mac_that_torch_has_left_behind_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Intel") as caught:
        make_plan(tmp_path, Machine("darwin", "x86_64"))
    assert caught.value.remedy


def test_the_size_is_stated_and_a_folder_of_wheels_costs_no_download(tmp_path: Path) -> None:
    small, large = make_plan(tmp_path, LINUX), make_plan(tmp_path, NEW_CARD)
    assert 0.3 < small.download_gb < 1
    assert 2.5 < large.download_gb < 5
    assert f"{small.download_gb:.1f} GB to download" in small.size
    assert large.disk_gb > large.download_gb + 5
    offline = make_plan(tmp_path, LINUX, wheels_folder="/wheels")
    assert offline.download_gb == 0
    assert "no download" in offline.size
    (torch,) = (step for step in offline.steps if step.key == "torch")
    assert torch.attempts == (("torch>=2.6,<3",),), "no index is named"


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(tmp_path / "a" / "b", LINUX)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(install_plan.shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(JobError, match=r"1\.0 GB of free disk space") as caught:
        check_disk(plan)
    assert "Environment Folder" in caught.value.remedy
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(install_plan.shutil, "disk_usage", lambda _: usage._replace(free=10**11))
    check_disk(plan)


def test_the_commands_for_a_terminal_do_what_the_plan_does(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "mit Leerzeichen", LINUX)
    lines = [shlex.split(line) for line in manual_commands(plan).splitlines()]
    assert lines[0] == ["python3", "-m", "venv", str(plan.environment)]
    assert lines[1][-3:] == ["torch==2.13.0", "--index-url", CPU]
    assert lines[1][:6] == ["python3", "-m", "pip", "--python", str(plan.environment), "install"]
    assert lines[2][6:] == [line for line in read_requirements() if "torch" not in line]
    # Last, because it is not made for every computer.
    assert lines[3][6:] == [install_plan.SOLVER]
    from_folder = manual_commands(make_plan(tmp_path, LINUX, wheels_folder="/my wheels"))
    assert "--no-index --find-links '/my wheels' 'torch>=2.6,<3'" in from_folder


def test_on_windows_nothing_is_taken_for_a_redirection() -> None:
    quoted = install_plan._quoted(["C:\\Program Files\\x", "numpy>=1.26,<3", "torch"], True)
    assert quoted == '"C:\\Program Files\\x" "numpy>=1.26,<3" torch'


def test_what_a_step_consists_of_can_be_told_from_its_fingerprint(tmp_path: Path) -> None:
    one = make_plan(tmp_path, LINUX)
    same = make_plan(tmp_path / "elsewhere", LINUX)
    other = make_plan(tmp_path, LINUX, requirements=("torch>=2", "numpy"))
    prints = [[step.fingerprint for step in plan.steps] for plan in (one, same, other)]
    assert prints[0] == prints[1]
    assert prints[0][:2] == prints[2][:2]
    assert prints[0][3] != prints[2][3]
