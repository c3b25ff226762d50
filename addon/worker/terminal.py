# SPDX-License-Identifier: GPL-3.0-or-later
"""A progress bar for Blender without a window."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from .protocol import messages

BAR_WIDTH = 24


@dataclass
class ProgressBar:
    """Shows how far a job is: one line that renews itself in a terminal, a line now and then in a
    file.
    """

    label: str
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    seconds_between_lines: float = 5.0
    _stage: str = ""
    _shown_at: float = 0.0
    _is_open: bool = False

    def show(self, progress: messages.Progress) -> None:
        """Draws the bar; calls that come too soon after the last are passed over."""
        now = time.monotonic()
        interactive = self.stream.isatty()
        is_last = progress.total > 0 and progress.done >= progress.total
        pause = 0.1 if interactive else self.seconds_between_lines
        if progress.stage == self._stage and not is_last and now - self._shown_at < pause:
            return
        if interactive and self._is_open and progress.stage != self._stage:
            self.stream.write("\n")
        self._stage, self._shown_at = progress.stage, now
        text = bar_text(self.label, progress)
        if interactive:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[2K" + text[:width])
            self._is_open = True
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """Writes a line of its own, below the bar."""
        self.close()
        self.stream.write(f"{self.label}: {text}\n")
        self.stream.flush()

    def close(self) -> None:
        """Ends the bar's line."""
        if self._is_open:
            self.stream.write("\n")
            self._is_open = False


def bar_text(label: str, progress: messages.Progress) -> str:
    """For example `Train · optimising [######------] 50/100 steps, PSNR 23.1 dB, 0:12 left`."""
    share = min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0
    filled = round(share * BAR_WIDTH)
    parts = [f"{progress.done:g}/{progress.total:g} {progress.unit}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.psnr is not None:
        parts.append(f"PSNR {progress.psnr:.2f} dB")
    parts.append(f"{clock(progress.seconds)} gone")
    if progress.eta_s >= 0:
        parts.append(f"{clock(progress.eta_s)} left")
    bar = "#" * filled + "-" * (BAR_WIDTH - filled)
    return f"{label} · {progress.stage} [{bar}] {', '.join(parts)}"


def clock(seconds: float) -> str:
    """Minutes and seconds, as on a stop-watch."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
