# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by its path in the worker's Python, never imported: says as a line of JSON what is there.

Its arguments are the folder that holds the backend, and the modules to import.
"""

import importlib
import json
import os
import platform
import sys
from typing import Any


def main(backend_parent: str, modules: list[str]) -> None:
    """Everything is tried on its own, so that one fault hides no other."""
    sys.path.insert(0, backend_parent)
    problems = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            # A package may fail in any way while it is imported: a missing system library is an
            # OSError, a wrong numpy a RuntimeError.
            problems[name] = f"{type(error).__name__}: {error}"[:200]
    report = {
        "python": platform.python_version(),
        "problems": problems,
        "memory_gb": memory_gb(),
        "backend": backend_version(),
        **about_torch(),
    }
    sys.stdout.write("\n" + json.dumps(report) + "\n")


def about_torch() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    version = str(getattr(torch, "__version__", ""))
    cards = []
    problem = ""
    try:
        if torch.cuda.is_available():
            for number in range(torch.cuda.device_count()):
                card = torch.cuda.get_device_properties(number)
                cards.append([card.name, round(card.total_memory / 1e9, 1)])
    except (AttributeError, RuntimeError) as error:
        problem = str(error)[:200]
    build = getattr(getattr(torch, "version", None), "cuda", None) or ""
    return {"torch": version, "cuda_build": build, "cards": cards, "cuda_problem": problem}


def backend_version() -> str:
    try:
        return str(importlib.import_module("neural_backend").__version__)
    except (ImportError, AttributeError):
        return ""


def memory_gb() -> float:
    """Of the computer, all in all; 0 where it cannot be told."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = (
                [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)]
                + [(f"value_{number}", ctypes.c_ulonglong) for number in range(7)]
            )  # fmt: skip

        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return round(status.value_0 / 1e9, 1)
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return 0.0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
