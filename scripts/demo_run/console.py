# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows in the terminal: a bar for each stage, and a closing table.

Blender writes to the terminal from C, so everything that it and the worker print goes to a log file
instead, and the bars go to a copy of the real standard output.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

SECONDS_BETWEEN_LINES = 15.0


class Stage:
    """One bar; where the output is no terminal, a line now and then."""

    def __init__(self, console: Console, title: str, progress: Progress | None) -> None:
        self.console = console
        self.title = title
        self.progress = progress
        self.task = progress.add_task(title, total=None, note="", left="") if progress else None
        self.started = self.said_at = time.monotonic()
        if progress is None:
            console.print(f"{title}…")

    def show(self, done: float, total: float, note: str = "", left_s: float = -1.0) -> None:
        """Moves the bar; `left_s` is told from the speed so far where it is not known better."""
        done = min(done, total)
        now = time.monotonic()
        if left_s < 0 and done > 0:
            left_s = (now - self.started) * (total - done) / done
        left = f"{left_s:.0f} s left" if left_s >= 0 else ""
        if self.progress is not None and self.task is not None:
            self.progress.update(
                self.task, completed=done, total=total or None, note=note, left=left
            )
            return
        if now - self.said_at > SECONDS_BETWEEN_LINES and total > 0:
            self.said_at = now
            parts = (f"  {100 * done / total:.0f} %", left, note)
            self.console.print(", ".join(part for part in parts if part))


class Terminal:
    """The real standard output, the log that stands in for it, and how long each stage took."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        sys.stdout.flush()
        sys.stderr.flush()
        self._real = [os.dup(1), os.dup(2)]
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        stream = os.fdopen(self._real[0], "w", encoding="utf-8", closefd=False)
        self.console = Console(file=stream, highlight=False)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """Times a stage and shows its bar until it ends."""
        started = time.monotonic()
        if self.console.is_terminal:
            columns = (
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn("{task.description:<26}"),
                BarColumn(bar_width=14),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(Column(min_width=7)),
                TextColumn("{task.fields[left]:<10}", table_column=Column(min_width=10)),
                TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True)),
            )
            with Progress(*columns, console=self.console) as progress:
                stage = Stage(self.console, title, progress)
                yield stage
                total = progress.tasks[0].total or 1
                progress.update(progress.tasks[0].id, completed=total, total=total, left="")
        else:
            yield Stage(self.console, title, None)
            self.console.print(f"  done in {time.monotonic() - started:.1f} s")
        self.seconds[title] = time.monotonic() - started

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def table(self, title: str, rows: list[tuple[str, str]]) -> None:
        table = Table(title=title, show_header=False, title_justify="left")
        for name, value in rows:
            table.add_row(name, value)
        self.console.print(table)

    def close(self) -> None:
        """Gives the process its standard output back."""
        self.console.file.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, real in enumerate(self._real, start=1):
            os.dup2(real, number)
            os.close(real)
