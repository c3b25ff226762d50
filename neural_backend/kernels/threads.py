# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs CPU kernels on several threads.

Python threads around kernels that release the interpreter's lock, rather than Numba's own threading
layers: these differ by system, and the one that is always there ends the process when two threads
use it at once.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from .compilation import num_threads


def for_each(task: Callable[[int], None], count: int) -> None:
    """Calls `task` with 0 … count - 1, in any order and on all threads; returns when all are done.

    A task must write only to places of its own, so that the result depends neither on the order nor
    on the number of threads.
    """
    workers = min(num_threads(), count)
    if workers <= 1:
        for index in range(count):
            task(index)
        return
    # The interpreter's lock makes `next` on a C iterator a safe ticket dispenser.
    tickets = iter(range(count))

    def work(_: int) -> None:
        for index in tickets:
            task(index)

    others = [_pool().submit(work, number) for number in range(workers - 1)]
    try:
        work(-1)
    finally:
        for other in others:
            other.result()


def spans(count: int, longest: int) -> list[tuple[int, int]]:
    """Cuts 0 … count into [start, end) pieces of at most `longest`."""
    starts = itertools.count(0, longest)
    return [
        (start, min(start + longest, count)) for start in itertools.takewhile(count.__gt__, starts)
    ]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, num_threads() - 1), thread_name_prefix="kernel")
