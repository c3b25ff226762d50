# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory for tables that are read and written at random places."""

import contextlib
import math
import mmap

import torch
from torch import Tensor

_LARGE_PAGE = 1 << 21


def zeros(*shape: int, like: Tensor) -> Tensor:
    """A tensor of zeros with the type and device of `like`.

    On CPUs rows of whole cache lines start at a line's start, and Linux is asked for large pages:
    with small ones most of the time of a random access goes into finding the page, above all in a
    virtual machine.
    """
    size = math.prod(shape) * like.element_size()
    if like.device.type != "cpu" or size < _LARGE_PAGE:
        return like.new_zeros(shape)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Private, as what processes could share comes in small pages.
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a system without large pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    else:
        memory = mmap.mmap(-1, size)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)
