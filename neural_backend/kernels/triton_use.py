# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Triton's kernels take the place of plain torch."""

import logging
import os
from functools import cache

import torch
from torch import Tensor

from ..protocol.errors import JobError
from .triton_compiler import start_triton

logger = logging.getLogger(__name__)

interpreted = False
"""Tests set this, with TRITON_INTERPRET=1, to have the kernels run step by step on the CPU."""


def uses_triton(tensor: Tensor) -> bool:
    """Whether kernels for this tensor are Triton's: in single precision on CUDA, where Triton runs.

    `NEURAL_FIELDS_TRITON=0` has plain torch run instead.
    """
    there = interpreted or (tensor.device.type == "cuda" and has_triton())
    return there and tensor.dtype == torch.float32


def has_triton() -> bool:
    """Whether Triton runs on CUDA here."""
    return not _is_unwanted() and not what_triton_lacks()


@cache
def what_triton_lacks() -> str:
    """Tries to start Triton on CUDA, unless it is not wanted. What keeps it from running, what is
    lost without it and what helps, as one line, which the log has too; empty where all is well.
    """
    if _is_unwanted():
        return ""
    try:
        start_triton()
    except JobError as error:
        loss = "The graphics card learns several times as slowly without it."
        line = f"{error.message} {loss} {error.remedy}"
        logger.warning("%s", line)
        return line
    return ""


def _is_unwanted() -> bool:
    return os.environ.get("NEURAL_FIELDS_TRITON") == "0"
