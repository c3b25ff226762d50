# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the Blender of the tour, through files in a folder that both see."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .screen import TourError

SECONDS_BETWEEN_LOOKS = 0.01


@dataclass
class Conversation:
    """`inside_blender.py` is the other side of it."""

    folder: Path
    is_alive: Callable[[], bool] = lambda: True
    _number: int = 0

    def ask(self, question: str, timeout_s: float = 60.0, **about: Any) -> Any:
        """The answer. Raises TourError where Blender has ended, says nothing or a problem."""
        self._number += 1
        written = self.folder / "ask.part"
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        told = {"number": self._number, "ask": question, "about": about}
        written.write_text(json.dumps(told), encoding="utf-8")
        written.rename(self.folder / "ask.json")
        deadline = time.monotonic() + timeout_s
        while not answer.is_file():
            if not self.is_alive():
                raise TourError(f"Blender ended while it was asked for {question}")
            if time.monotonic() > deadline:
                raise TourError(f"Blender did not answer {question} in {timeout_s:g} s")
            time.sleep(SECONDS_BETWEEN_LOOKS)
        said = json.loads(answer.read_text(encoding="utf-8"))
        if said["number"] != self._number:
            raise TourError(f"The answer to question {said['number']} came to {self._number}")
        if "problem" in said:
            raise TourError(f"Blender, asked for {question}: {said['problem']}")
        return said["answer"]

    def wait_until(
        self, what: str, holds: Callable[[], Any], timeout_s: float, pause_s: float = 0.5
    ) -> Any:
        """The first answer that is true. Raises TourError where there is none in time."""
        deadline = time.monotonic() + timeout_s
        while not (found := holds()):
            if time.monotonic() > deadline:
                raise TourError(f"waited {timeout_s:g} s in vain until {what}")
            time.sleep(pause_s)
        return found
