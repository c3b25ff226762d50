# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the whole suite."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


_STATUS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real captures, which are no part of the repository; skips where it is absent."""
    chosen = os.environ.get("NEURAL_FIELDS_TEST_DATA")
    folder = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test captures at {folder} (set NEURAL_FIELDS_TEST_DATA to their folder)")
    return folder


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends a process that holds Blender's module at once, when all has been told.

    The module waits for ever at exit for a thread of its sound, which some long sessions leave
    behind; that of Blender 4.2 dies there.
    """
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_STATUS, 1))
