# SPDX-License-Identifier: GPL-3.0-or-later
import platform
import sys
from pathlib import Path

import pytest
from neural_fields.addon.worker import machine
from neural_fields.addon.worker.machine import look_at_machine


def test_driver_and_cards_come_from_what_nvidias_tool_says() -> None:
    seen = look_at_machine(
        lambda: "581.42, NVIDIA GeForce RTX 4090, 8.9\n581.42, NVIDIA GeForce GTX 1080, 6.1\n"
    )
    assert (seen.system, seen.processor) == (sys.platform, platform.machine().lower())
    assert seen.has_nvidia
    assert seen.driver == (581, 42)
    assert seen.card == "NVIDIA GeForce RTX 4090"
    assert seen.compute_capability == (6, 1), "the oldest card decides"


@pytest.mark.parametrize(
    "answer", ["", "NVIDIA-SMI has failed because it couldn't communicate with the driver."]
)
def test_a_tool_that_fails_leaves_the_kernels_word(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_driver_on_file", lambda: (535, 183, 1))
    assert look_at_machine(lambda: answer).driver == (535, 183, 1)
    monkeypatch.setattr(machine, "_driver_on_file", tuple)
    assert not look_at_machine(lambda: answer).has_nvidia


def test_the_kernel_module_tells_its_version(tmp_path: Path) -> None:
    file = tmp_path / "version"
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
        "GCC version:  gcc version 12.2.0\n"
    )
    assert machine._driver_on_file(file) == (535, 183, 1)
    assert machine._driver_on_file(tmp_path / "none") == ()


def test_a_card_whose_capability_is_not_told_is_still_a_card() -> None:
    seen = look_at_machine(lambda: "470.82.01, Tesla K80, [N/A]\n")
    assert seen.driver == (470, 82, 1)
    assert seen.compute_capability == ()


@pytest.mark.skipif(sys.platform == "win32", reason="programs are found there by their endings")
@pytest.mark.parametrize(
    ("compiler", "variable", "found"),
    [("", "", False), ("gcc", "", True), ("clang", "", True), ("", "/opt/cc", True)],
)
def test_a_compiler_is_where_triton_looks_for_it(
    compiler: str, variable: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", variable)
    if compiler:
        (tmp_path / compiler).touch(0o755)
    for answer in ("", "581.42, NVIDIA GeForce RTX 4090, 8.9\n"):
        assert look_at_machine(lambda answer=answer: answer).has_compiler is found
