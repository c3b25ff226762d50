# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that compute one thing together, a graphics card each; mostly there is but one.

`torchrun` starts them and tells each its number. They draw the same random numbers, as if each
computed the whole, and take every so-manieth of what is drawn: together they do what one process
would do with a batch that many times as large.
"""

import atexit
import os
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor

Items = TypeVar("Items", Tensor, list[Any])

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(hours=1)
"""The first process also saves and measures, while the others wait for it."""


def join() -> None:
    """Joins the processes that `torchrun` started beside this one; alone where it did not."""
    if not distributed.is_available() or distributed.is_initialized():
        return
    if any(name not in os.environ for name in _LAUNCHED) or os.environ["WORLD_SIZE"] == "1":
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl" if distributed.is_nccl_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    atexit.register(leave)


def leave() -> None:
    """Ends the group for this process, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def size() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if _is_shared() else 1


def rank() -> int:
    """The number of this process; the first, 0, is the one that writes what all have learned."""
    return distributed.get_rank() if _is_shared() else 0


def part(items: Items) -> Items:
    """What this process takes of what is drawn for all."""
    return items[rank() :: size()]


def rand(
    count: int,
    width: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """`torch.rand(count, width)`: this process's rows of what is drawn for all."""
    drawn = torch.rand(count * size(), width, generator=generator, device=device, dtype=dtype)
    return part(drawn)


def randn(
    count: int,
    width: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """`torch.randn(count, width)`: this process's rows of what is drawn for all."""
    return part(torch.randn(count * size(), width, generator=generator, device=device))


def add_up(*tensors: Tensor) -> None:
    """Puts the sum over all processes in the place of each tensor."""
    if size() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)


def whole(values: Tensor) -> Tensor:
    """What `part` was taken of, from the parts of all processes; parts must be equally long."""
    if size() == 1:
        return values
    every = values.new_zeros(len(values) * size(), *values.shape[1:])
    part(every).copy_(values)
    add_up(every)
    return every


def first_says(number: float) -> float:
    """The number of the first process, whatever that of this one is."""
    if size() == 1:
        return number
    told = torch.tensor(number, dtype=torch.float64)
    distributed.broadcast(told, 0)
    return float(told)


def wait() -> None:
    """Returns once all processes have come here."""
    add_up(torch.zeros(()))


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()
