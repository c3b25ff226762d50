# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory for tables that are read and written at random places."""

import numpy as np
import torch
from torch import Tensor


def zeros(*shape: int, like: Tensor) -> Tensor:
    """A tensor of zeros with the type and device of `like`.

    On CPUs numpy allocates it, because it asks Linux for large pages: with small ones most of the
    time of a random access goes into finding the page, above all in a virtual machine.
    """
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    return torch.from_numpy(np.zeros(shape, dtype=torch.empty(0, dtype=like.dtype).numpy().dtype))


def moved(values: Tensor) -> Tensor:
    """The same values in memory as `zeros` gives it."""
    return zeros(*values.shape, like=values).copy_(values)
