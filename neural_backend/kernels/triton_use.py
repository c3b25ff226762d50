# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Triton's kernels take the place of plain torch."""

import logging
import os
from functools import cache

import torch
from torch import Tensor

from ..protocol.errors import JobError, is_a
from .triton_compiler import start_triton

logger = logging.getLogger(__name__)

interpreted = False
"""Tests set this, with TRITON_INTERPRET=1, to have the kernels run step by step on the CPU."""

given_up = False
"""Whether Triton has failed to make a kernel; see `give_up`."""


def uses_triton(tensor: Tensor) -> bool:
    """Whether kernels for this tensor are Triton's: in single precision on CUDA, where Triton runs.

    `NEURAL_FIELDS_TRITON=0` has plain torch run instead.
    """
    there = interpreted or (tensor.device.type == "cuda" and has_triton())
    return there and tensor.dtype == torch.float32


def has_triton() -> bool:
    """Whether Triton runs on CUDA here."""
    return not (given_up or _is_unwanted() or what_triton_lacks())


def give_up(error: Exception) -> bool:
    """Has plain torch run from now on, and says so in the log, if it is Triton that has failed to
    make a kernel; returns whether it is.
    """
    global given_up
    if not is_a(error, "TritonError"):
        return False
    given_up = True
    logger.warning(
        "Triton could not make a kernel for this graphics card (%s), so torch alone computes there "
        "until the program ends, several times as slowly.",
        (str(error).strip().splitlines() or [type(error).__name__])[0][:200],
    )
    return True


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
