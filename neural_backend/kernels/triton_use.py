# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Triton's kernels take the place of plain torch."""

import importlib.util
import logging
import os
from functools import cache

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

interpreted = False
"""Tests set this, with TRITON_INTERPRET=1, to have the kernels run step by step on the CPU."""


def uses_triton(tensor: Tensor) -> bool:
    """Whether kernels for this tensor are Triton's: in single precision on CUDA, where Triton is
    installed.

    `NEURAL_FIELDS_TRITON=0` has plain torch run instead.
    """
    there = interpreted or (tensor.device.type == "cuda" and has_triton())
    return there and tensor.dtype == torch.float32


@cache
def has_triton() -> bool:
    """Whether Triton can be imported; says once what is lost without it."""
    if os.environ.get("NEURAL_FIELDS_TRITON") == "0":
        return False
    if importlib.util.find_spec("triton") is None:
        logger.warning(
            "Triton is not installed, so that the graphics card learns several times as slowly. "
            "It comes with torch on Linux; on Windows: pip install triton-windows"
        )
        return False
    return True
