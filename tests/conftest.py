# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real captures, which are no part of the repository; skips where it is absent."""
    chosen = os.environ.get("NEURAL_FIELDS_TEST_DATA")
    folder = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test captures at {folder} (set NEURAL_FIELDS_TEST_DATA to their folder)")
    return folder
