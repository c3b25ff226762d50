# SPDX-License-Identifier: GPL-3.0-or-later
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from neural_fields.addon.worker import checks
from neural_fields.addon.worker.checks import (
    FIND,
    INSTALL,
    PREFERENCES,
    STOP,
    Check,
    Probe,
    Situation,
    all_checks,
    probe_command,
    read_probe,
)
from neural_fields.addon.worker.environment import REQUIRED_MODULES
from neural_fields.addon.worker.machine import Machine
from neural_fields.addon.worker.protocol import messages

GOOD = Probe(
    python="3.11.7",
    torch="2.13.0",
    cuda_build="13.0",
    cards=(("NVIDIA RTX 4090", 25.3),),
    memory_gb=32.0,
    backend="0.1.0",
)
NVIDIA = Machine("linux", "x86_64", (535, 1), "NVIDIA RTX 4090", (8, 9))
PLAIN = Machine("linux", "x86_64")
READY = messages.WorkerReady(
    backend_version="0.1.0", python="3", torch="2", devices=("cpu",), methods=()
)
ALL_WELL = Situation(GOOD, NVIDIA, READY, 100.0)
NAMES = ["Python", "Torch", "Device", "Memory", "Backend", "Disk"]


def check(name: str, situation: Situation) -> Check:
    return next(one for one in all_checks(situation) if one.name == name)


def with_probe(**values: object) -> Situation:
    return replace(ALL_WELL, probe=replace(GOOD, **values))


def test_where_all_is_well_six_checks_say_so() -> None:
    found = all_checks(ALL_WELL)
    assert [one.name for one in found] == NAMES
    assert {one.state for one in found} == {"ok"}
    assert "RTX 4090 (25 GB)" in check("Device", ALL_WELL).text


def test_what_was_not_looked_at_is_unknown_and_nothing_worse() -> None:
    found = all_checks(Situation())
    assert [one.name for one in found] == NAMES
    assert {one.state for one in found} == {"unknown"}


@pytest.mark.parametrize(
    ("name", "situation", "state", "words", "fix"),
    [
        ("Python", with_probe(python="3.9.18"), "failed", "older than 3.10", INSTALL),
        ("Python", with_probe(problem="It does not run"), "failed", "does not run", INSTALL),
        (
            "Torch",
            with_probe(problems={"torch": "ModuleNotFoundError: No module named 'torch'"}),
            "failed",
            "torch is not installed",
            INSTALL,
        ),
        (
            "Torch",
            with_probe(problems={"torch": "OSError: libgomp.so.1 cannot open"}),
            "failed",
            "does not load: OSError: libgomp",
            INSTALL,
        ),
        (
            "Torch",
            with_probe(problems={"igl": "ModuleNotFoundError: No module named 'igl'"}),
            "warning",
            "igl is not installed",
            INSTALL,
        ),
        ("Device", with_probe(cards=(), cuda_build=""), "warning", "without CUDA", INSTALL),
        ("Device", with_probe(cards=()), "warning", "driver 535.1 may be too old", INSTALL),
        (
            "Device",
            with_probe(cards=(), cuda_problem="no kernel image"),
            "warning",
            "no kernel image",
            INSTALL,
        ),
        ("Memory", with_probe(memory_gb=2.0), "failed", "too little", ("", "")),
        ("Memory", with_probe(memory_gb=6.0), "warning", "small fields", ("", "")),
        ("Backend", with_probe(backend=""), "failed", "does not load", ("", "")),
        ("Backend", with_probe(backend="0.2.0"), "failed", "worker is of 0.1.0", STOP),
        ("Disk", replace(ALL_WELL, free_disk_gb=0.2), "failed", "Runs Folder", PREFERENCES),
        ("Disk", replace(ALL_WELL, free_disk_gb=2.0), "warning", "may not last", PREFERENCES),
    ],
)
def test_each_fault_is_seen_by_its_check_alone_with_what_puts_it_right(
    name: str, situation: Situation, state: str, words: str, fix: tuple[str, str]
) -> None:
    found = check(name, situation)
    assert found.state == state
    assert words in found.text
    assert found.fix == fix
    others = [one for one in all_checks(situation) if one.name != name]
    assert {one.state for one in others} <= {"ok", "unknown"}


def test_a_computer_without_a_card_is_no_fault() -> None:
    situation = replace(with_probe(cards=(), cuda_build=""), machine=PLAIN)
    assert check("Device", situation).state == "ok"


def test_without_a_running_worker_only_the_files_count() -> None:
    assert check("Backend", replace(with_probe(backend="0.2.0"), worker=None)).state == "ok"


def test_what_the_search_asks_for_is_what_the_checks_cannot_do_without() -> None:
    assert checks.NEEDED_MODULES == REQUIRED_MODULES
    assert FIND[0].startswith("neural_fields.")


def test_a_probe_is_read_whatever_was_printed_before_it() -> None:
    line = json.dumps({"python": "3.11.7", "cards": [["A", 8.0]], "torch": "2.6"})
    found = read_probe(["Hello", "5", "[1]", line, ""], 0)
    assert (found.python, found.cards, found.problem) == ("3.11.7", (("A", 8.0),), "")
    assert read_probe(['{"python": "3.11.7"}'], 0).cards == ()
    assert "no such library" in read_probe(["no such library", ""], 127).problem
    assert "exit status 9" in read_probe([], 9).problem
    assert read_probe(['{"unknown": 1}'], 0).problem


def test_the_probe_says_of_this_python_what_is_there(tmp_path: Path) -> None:
    # The light ones: what the heavy ones cost to import is no concern of this test.
    command = [*probe_command(Path(sys.executable))[:6], "json", "no_such_module"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = read_probe(done.stdout.splitlines(), done.returncode)
    assert found.problem == ""
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.problems == {
        "no_such_module": "ModuleNotFoundError: No module named 'no_such_module'"
    }
    assert found.memory_gb > 0.5
    assert found.backend == "0.1.0"
    assert found.torch == ""


def test_a_python_that_cannot_run_leaves_its_last_words(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'error while loading shared libraries'\nexit 127\n")
    python.chmod(0o755)
    done = subprocess.run(probe_command(python), capture_output=True, text=True)
    found = read_probe(done.stdout.splitlines(), done.returncode)
    assert "shared libraries" in found.problem
    assert check("Python", Situation(found)).state == "failed"
