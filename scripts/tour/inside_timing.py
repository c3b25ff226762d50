# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the Blender of the tour: how long the add-on holds the window up each time it is called.

Blender calls an add-on to draw its panels and its engine's view, for its operators, timers and
handlers. Python tells of each function of it that begins and ends in the main thread; the time from
the outermost's begin to its end is what the window waits. Needs Python 3.12.

A function that only has Blender do what its own button does is timed apart, and taken off.
"""

import sys
import threading
import time
from types import CodeType
from typing import Any

TOOL = 2
"""Python's number for profilers."""


class Stopwatch:
    """Times the outermost calls of functions whose files lie in a folder, and those `apart`."""

    def __init__(self, folder: str, apart: str = "") -> None:
        self.folder = folder
        self.apart = apart
        self.seconds: dict[str, list[tuple[float, float]]] = {}
        """What each call took, and how much of it the processor was at work for it."""
        self._depth = 0
        self._outermost = ""
        self._started = self._apart_started = self._taken_off = (0.0, 0.0)

    def start(self) -> None:
        """From now on; only one can run in a process."""
        watching: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        watching.use_tool_id(TOOL, "tour")
        begins = (watching.events.PY_START, watching.events.PY_RESUME, watching.events.PY_THROW)
        ends = (watching.events.PY_RETURN, watching.events.PY_YIELD, watching.events.PY_UNWIND)
        for event in begins:
            watching.register_callback(TOOL, event, self._begin)
        for event in ends:
            watching.register_callback(TOOL, event, self._end)
        watching.set_events(TOOL, sum((*begins, *ends)))

    def stop(self) -> None:
        watching: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        watching.set_events(TOOL, 0)
        watching.free_tool_id(TOOL)

    def take(self, most: int = 5) -> dict[str, list[tuple[float, float]]]:
        """The longest calls of each function since this was asked last."""
        taken, self.seconds = self.seconds, {}
        return {name: sorted(times, reverse=True)[:most] for name, times in taken.items()}

    def _begin(self, code: CodeType, *_: Any) -> None:
        if self._is_meant(code):
            if not self._depth:
                self._outermost, self._started = code.co_qualname, _now()
                self._taken_off = (0.0, 0.0)
            elif code.co_qualname == self.apart:
                self._apart_started = _now()
            self._depth += 1

    def _end(self, code: CodeType, *_: Any) -> None:
        if self._depth and self._is_meant(code):
            self._depth -= 1
            if not self._depth:
                self._note(self._outermost, _less(_less(_now(), self._started), self._taken_off))
            elif code.co_qualname == self.apart:
                self._taken_off = _less(_now(), self._apart_started)
                self._note(self.apart, self._taken_off)

    def _note(self, name: str, took: tuple[float, float]) -> None:
        self.seconds.setdefault(name, []).append(took)

    def _is_meant(self, code: CodeType) -> bool:
        in_main = threading.current_thread() is threading.main_thread()
        return in_main and self.folder in code.co_filename


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


def _less(times: tuple[float, float], others: tuple[float, float]) -> tuple[float, float]:
    return times[0] - others[0], times[1] - others[1]
