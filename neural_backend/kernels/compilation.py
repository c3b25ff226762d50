# SPDX-License-Identifier: GPL-3.0-or-later
"""How Numba compiles the CPU kernels, and where the machine code is kept between runs.

The machine code goes to the user's cache folder (`NEURAL_FIELDS_CACHE` moves it), never to the
package's own. Every kernel must be made by `jit` below, so that no other folder is ever written.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

# No "nnan" and "ninf": kernels may meet infinite depths and must be able to ask for NaN.
FAST_MATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

_kernels: list[Dispatcher] = []


def cache_folder() -> Path:
    """The folder for everything that can be made again: kernels and downloads."""
    chosen = os.environ.get("NEURAL_FIELDS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        parent = "~/Library/Caches"
    else:
        parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(parent).expanduser() / "neural_fields"


def jit(function: Callable | None = None, *, parallel: bool = False, inline: bool = False) -> Any:
    """Compiles a kernel at its first call; the machine code is kept on disk.

    Use it bare (`@jit`) or with arguments (`@jit(parallel=True)`). Kernels release the
    interpreter's lock. Those with `inline` are pasted into their callers. Where the cache folder
    cannot be written, the kernel is compiled anew in every process.
    """
    if function is None:
        return lambda function: jit(function, parallel=parallel, inline=inline)
    options = {
        "nogil": True,
        "boundscheck": False,
        "fastmath": FAST_MATH,
        "error_model": "numpy",
        "parallel": parallel,
        "inline": "always" if inline else "never",
    }
    folder = cache_folder() / "kernels" / _fingerprint(function)
    if inline or not _is_writable(folder.parent):
        kernel = numba.njit(function, **options)
    else:
        # Numba fixes the place when a kernel is defined; other users of Numba here keep theirs.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            kernel = numba.njit(function, cache=True, **options)
        finally:
            numba.config.CACHE_DIR = before
    _kernels.append(kernel)
    return kernel


def kernels_are_cached(kernels: Iterable[Dispatcher] | None = None) -> bool:
    """Whether these kernels (by default all that are imported) need no compiling.

    A kernel counts as cached once any signature of it is.
    """
    return all(_is_ready(kernel) for kernel in (_kernels if kernels is None else kernels))


def num_threads() -> int:
    """How many threads the kernels use.

    That is `NEURAL_FIELDS_THREADS`, or every processor this process may run on.
    """
    chosen = os.environ.get("NEURAL_FIELDS_THREADS")
    if chosen:
        return max(1, int(chosen))
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _is_ready(kernel: Dispatcher) -> bool:
    if kernel.signatures or kernel.targetoptions.get("inline") == "always":
        return True
    folder = kernel.stats.cache_path
    if folder is None:
        return False
    code = kernel.py_func.__code__
    return any(Path(folder).glob(f"*{code.co_name}-{code.co_firstlineno}.*.nbi"))


def _fingerprint(function: Callable) -> str:
    """Names what the function's machine code is made of: sources, and constants that it uses.

    Numba itself looks at the function's own file only: an edited callee in another file would go
    unnoticed.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    functions: set[Callable] = set()
    _collect_used(function, functions)
    constants = set()
    for used in functions:
        for name in used.__code__.co_names:
            value = used.__globals__.get(name)
            if isinstance(value, (int, float, str, tuple)):
                constants.add(f"{name}={value!r}")
    digest.update("\n".join(sorted(constants)).encode())
    for source in sorted({used.__code__.co_filename for used in functions}):
        digest.update(_contents(source))
    return digest.hexdigest()[:16]


def _collect_used(function: Callable, collected: set[Callable]) -> None:
    """Adds the function, the kernels that it calls, and the intrinsics, which wrap a function."""
    collected.add(function)
    for name in function.__code__.co_names:
        used = function.__globals__.get(name)
        used = used.py_func if isinstance(used, Dispatcher) else getattr(used, "__wrapped__", None)
        if used is not None and hasattr(used, "__code__") and used not in collected:
            _collect_used(used, collected)


@cache
def _contents(source: str) -> bytes:
    return Path(source).read_bytes() if Path(source).is_file() else source.encode()


@cache
def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning(
            "Kernels are compiled at every start, their cache cannot be written: %s", error
        )
        return False
    return os.access(folder, os.W_OK)
