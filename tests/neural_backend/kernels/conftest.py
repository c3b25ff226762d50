# SPDX-License-Identifier: GPL-3.0-or-later
"""Which twin of a kernel a test asks: Numba's or Triton's, interpreted where CUDA is missing."""

import os

import pytest
import torch

from neural_backend.kernels import triton_use

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before its kernels are imported


@pytest.fixture
def triton(monkeypatch) -> torch.device:
    """The device on which Triton's kernels run for this test."""
    pytest.importorskip("triton", reason="Triton is made for Linux alone")
    if torch.cuda.is_available():
        return torch.device("cuda")
    monkeypatch.setattr(triton_use, "interpreted", True)
    return torch.device("cpu")


@pytest.fixture(params=["numba", "triton"])
def twin(request) -> str:
    """Which twin of a kernel is asked."""
    return request.param


@pytest.fixture
def device(twin, request) -> torch.device:
    """The device on which that twin is asked."""
    return request.getfixturevalue("triton") if twin == "triton" else torch.device("cpu")
