# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from neural_fields.addon.worker.pip_output import PipReader, problem_of

NEW_PIP = """Looking in indexes: https://pypi.org/simple
Collecting torch==2.13.0
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (30 kB)
Collecting filelock (from torch==2.13.0)
  Using cached filelock-4.2.12-py3-none-any.whl (1.5 MB)
Downloading torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl (200.0 MB)
Progress 0 of 200000000
Progress 50000000 of 200000000"""


def read(text: str) -> PipReader:
    reader = PipReader()
    for line in text.splitlines():
        reader.take(line)
    return reader


def test_bytes_are_those_that_pip_tells() -> None:
    reader = read(NEW_PIP)
    assert reader.file == "torch-2.13.0+cpu"
    assert (reader.done_mb, reader.total_mb) == (50.0, 200.0)
    assert reader.fetched_mb == pytest.approx(51.5)
    assert not reader.is_installing
    assert not any(line.startswith("Progress") for line in reader.tail)


def test_the_first_line_that_changes_the_environment_is_recognised() -> None:
    reader = read(NEW_PIP + "\nProgress 200000000 of 200000000\nInstalling collected packages: a")
    assert reader.is_installing
    assert reader.fetched_mb == pytest.approx(201.5)


def test_an_old_pip_that_tells_no_progress_is_counted_by_its_sizes() -> None:
    reader = read(
        "Collecting a\n  Downloading a-1-py3-none-any.whl (2.0 MB)\n"
        "Collecting b\n  Downloading b-1-py3-none-any.whl (500 kB)\nCollecting c\n"
    )
    assert reader.fetched_mb == pytest.approx(2.5)
    assert reader.file == "c"


@pytest.mark.parametrize(
    ("text", "words", "is_passing", "is_not_offered"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full", 0, 0),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "certificate", 0, 0),
        (
            "WARNING: NewConnectionError(getaddrinfo failed)\n"
            "ERROR: No matching distribution found for torch==2",
            "cannot be reached",
            1,
            0,
        ),
        ("pip._vendor.urllib3: IncompleteRead(5 bytes read)", "broke off", 1, 0),
        ("ERROR: No matching distribution found for libigl<3,>=2.6", "no libigl<3,>=2.6", 0, 1),
        ("ERROR: [WinError 5] Access is denied", "permission", 0, 0),
        ("ERROR: OSError: [WinError 206] The filename is too long", "too long", 0, 0),
        ("something\nERROR: no luck today", "no luck today", 0, 0),
        ("", "exit status 3", 0, 0),
    ],
)
def test_a_failure_is_said_in_plain_words_with_a_remedy(
    text: str, words: str, is_passing: int, is_not_offered: int
) -> None:
    problem = problem_of(text.splitlines(), 3, "/the/log")
    assert words in problem.message
    assert problem.remedy
    assert (problem.is_passing, problem.is_not_offered) == (is_passing, is_not_offered)


def test_what_a_wheels_folder_lacks_is_named() -> None:
    problem = problem_of(["ERROR: No matching distribution found for numba>=0.61"], 1, "", True)
    assert "wheels folder has no numba>=0.61" in problem.message
