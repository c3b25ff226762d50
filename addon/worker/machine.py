# SPDX-License-Identifier: GPL-3.0-or-later
"""What this computer is to an installation: its system, its processor, its NVIDIA driver."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .environment import child_variables

QUERY = ("--query-gpu=driver_version,name,compute_cap", "--format=csv,noheader")
QUERY_TIMEOUT_S = 20.0
DRIVER_FILE = Path("/proc/driver/nvidia/version")
# A desktop's programs are not started from a shell, so their PATH may lack these.
TOOL_FOLDERS = (Path("/usr/bin"), Path("/usr/lib/wsl/lib"), Path("C:/Windows/System32"))


@dataclass(frozen=True)
class Machine:
    """A computer; `driver` is the version of its NVIDIA driver, empty where there is none."""

    system: str
    processor: str
    driver: tuple[int, ...] = ()
    card: str = ""
    compute_capability: tuple[int, ...] = ()
    """Of the oldest card; empty where the driver does not tell."""
    has_compiler: bool = True
    """Whether Triton, which looks for one on Linux, finds a C compiler."""

    @property
    def has_nvidia(self) -> bool:
        return bool(self.driver)


def look_at_machine(query: Callable[[], str] | None = None) -> Machine:
    """This computer. Starts NVIDIA's tool, so it takes up to seconds: not for Blender's main
    thread.
    """
    compilers = (os.environ.get("CC"), shutil.which("gcc"), shutil.which("clang"))
    here = Machine(sys.platform, platform.machine().lower(), has_compiler=any(compilers))
    answer = (query or _ask_nvidia)()
    rows = [[part.strip() for part in line.split(",")] for line in answer.splitlines()]
    cards = [row for row in rows if len(row) == 3 and _numbers(row[0])]
    if not cards:
        return replace(here, driver=_driver_on_file())
    capabilities = [_numbers(row[2]) for row in cards if _numbers(row[2])]
    return replace(
        here,
        driver=_numbers(cards[0][0]),
        card=cards[0][1],
        compute_capability=min(capabilities, default=()),
    )


def _ask_nvidia() -> str:
    """What `nvidia-smi` says of driver and cards; nothing where it is missing or fails."""
    folders = [folder / "nvidia-smi" for folder in TOOL_FOLDERS]
    tool = shutil.which("nvidia-smi") or next(
        (found for path in folders if (found := shutil.which(str(path)))), None
    )
    if tool is None:
        return ""
    try:
        done = subprocess.run(
            [tool, *QUERY],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=QUERY_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env=child_variables(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _driver_on_file(file: Path = DRIVER_FILE) -> tuple[int, ...]:
    """The driver's version as Linux's kernel module tells it."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return _numbers(found[1]) if found else ()


def _numbers(text: str) -> tuple[int, ...]:
    parts: Sequence[str] = text.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()
