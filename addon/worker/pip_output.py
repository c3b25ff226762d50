# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what pip prints: how far it is, and what a failure means to the user."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)$")
DOWNLOADING = re.compile(r"Downloading (\S+?)(?: \(([\d.]+) ([kMG]?)B\))?$")
CACHED = re.compile(r"(?:Using cached|Processing) (\S+?)(?: \(([\d.]+) ([kMG]?)B\))?$")
COLLECTING = re.compile(r"Collecting ([\w.\-]+)")
INSTALLING = "Installing collected packages:"
METADATA = (".metadata", ".html", ".json")
MEGA = {"": 1e-6, "k": 1e-3, "M": 1.0, "G": 1e3}

NOT_OFFERED = ("No matching distribution found", "Could not find a version that satisfies")
NETWORK = (
    "NewConnectionError", "ConnectTimeout", "ReadTimeout", "Read timed out", "Connection reset",
    "ConnectionResetError", "Connection broken", "IncompleteRead", "Connection aborted",
    "RemoteDisconnected", "Temporary failure in name resolution", "getaddrinfo failed",
    "incomplete-download", "Max retries exceeded", "THESE PACKAGES DO NOT MATCH THE HASHES",
    "Network is unreachable", "HTTP error 5",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Why an installation stopped, and what to do. `is_passing`: it may go away by itself."""

    message: str
    remedy: str
    is_passing: bool = False
    is_not_offered: bool = False


@dataclass
class PipReader:
    """Adds up one run of pip, line by line."""

    file: str = ""
    """What is being fetched or installed, for people."""
    done_mb: float = 0.0
    """Of the file at hand."""
    total_mb: float = 0.0
    finished_mb: float = 0.0
    """Of the files before it."""
    is_installing: bool = False
    """From here on the environment is being changed."""
    tail: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        if found := RAW_PROGRESS.search(line):
            self.done_mb, self.total_mb = int(found[1]) / 1e6, int(found[2]) / 1e6
            return
        text = line.strip()
        if text:
            self.tail = [*self.tail[-199:], text]
        if text.startswith(INSTALLING):
            self._finish_file()
            self.is_installing = True
            self.file = ""
        elif found := DOWNLOADING.match(text):
            self._begin_file(found)
        elif found := CACHED.match(text):
            self._begin_file(found)
            self.done_mb = self.total_mb
        elif found := COLLECTING.match(text):
            self._finish_file()
            self.file = found[1]

    @property
    def fetched_mb(self) -> float:
        return self.finished_mb + self.done_mb

    def _begin_file(self, found: re.Match[str]) -> None:
        self._finish_file()
        name = unquote(found[1].rpartition("/")[2].rpartition("\\")[2])
        if not name.endswith(METADATA):
            self.file = "-".join(name.split("-")[:2])
            self.total_mb = float(found[2]) * MEGA[found[3]] if found[2] else 0.0

    def _finish_file(self) -> None:
        # An old pip tells no progress, only sizes.
        self.finished_mb += self.total_mb or self.done_mb
        self.done_mb = self.total_mb = 0.0


def problem_of(lines: Sequence[str], status: int, log: str, is_offline: bool = False) -> Problem:
    """What the last words of a failed pip mean."""
    text = "\n".join(lines)
    again = "What was downloaded is kept: press Install to go on."
    if "No space left on device" in text or "Errno 28" in text or "not enough space" in text:
        return Problem(
            "The disk is full.",
            f"Free some space, or choose another Environment Folder in the preferences. {again}",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return Problem(
            "The package index could not be trusted: its certificate was refused.",
            "Check the computer's clock; behind a company's firewall, set the variable PIP_CERT to "
            "its certificate.",
        )
    # Who cannot reach an index is also told that it offers nothing, so this comes first.
    if any(sign in text for sign in NETWORK):
        return Problem(
            "The download broke off or the package index cannot be reached.",
            f"Check the network connection. {again}",
            is_passing=True,
        )
    if any(sign in text for sign in NOT_OFFERED):
        return _not_offered(text, is_offline)
    if "Permission denied" in text or "PermissionError" in text or "WinError 5" in text:
        return Problem(
            "A file could not be written: permission was denied.",
            "Close other programs that use the environment, or choose another Environment Folder "
            "in the preferences.",
        )
    if "WinError 206" in text or "Long Path" in text:
        return Problem(
            "The folder's path is too long for Windows.",
            "Choose an Environment Folder with a short path in the preferences, such as C:\\nf.",
        )
    errors = [line for line in lines if line.startswith("ERROR:")] or list(lines[-2:])
    reason = " ".join(errors)[-300:] or f"exit status {status}"
    return Problem(f"pip failed: {reason}", f"Its log is {log}. {again}")


def _not_offered(text: str, is_offline: bool) -> Problem:
    found = re.findall(r"(?:found for|satisfies the requirement) ([^\s(;]+)", text)
    name = found[-1] if found else "a package"
    if is_offline:
        message = f"The wheels folder has no {name} for this Python and system."
        remedy = "Put the missing wheel there, or clear the Wheels Folder and install from the net."
    else:
        message = f"The package index has no {name} for this Python and system."
        remedy = "Install Python 3.11 to 3.13 from python.org, then try again."
    return Problem(message, remedy, is_not_offered=True)
