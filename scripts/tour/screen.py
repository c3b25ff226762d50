# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual screen: Xvfb, xdotool and ImageMagick, here or behind a prefix such as a chroot's."""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = {"Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick"}
"""The programs, and the Debian and Ubuntu package of each."""
LEFT, MIDDLE, RIGHT, WHEEL_UP, WHEEL_DOWN = 1, 2, 3, 4, 5
DRAG_STEPS = 12
KEY_CODES = {"F12": "96"}
"""By its name this one would be pressed with Ctrl and Alt, as one changes to another console."""


class TourError(Exception):
    """Says what kept the tour from going on."""


@dataclass
class Screen:
    """An X display; points count from its upper left corner."""

    display: str = ":77"
    size: tuple[int, int] = (1600, 1000)
    prefix: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    _server: "subprocess.Popen[bytes] | None" = None

    def command(self, *words: str) -> list[str]:
        """A program's command line behind the prefix; the variables come last, because a prefix may
        clear those that are set outside.
        """
        told = {"DISPLAY": self.display, **self.variables}
        return [*self.prefix, "env", *(f"{name}={value}" for name, value in told.items()), *words]

    def start(self, log: Path) -> None:
        """Starts the server, unless the display has one already, which is used then.

        Raises:
            TourError: where a program is missing; it says what to install.
        """
        missing = [
            package
            for program, package in NEEDED.items()
            if not self._succeeds("sh", "-c", f"command -v {program}")
        ]
        if missing:
            where = f" behind the prefix {' '.join(self.prefix)!r}" if self.prefix else ""
            raise TourError(f"Install{where}: apt-get install {' '.join(missing)}")
        if self._answers():
            return
        width, height = self.size
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                self.command("Xvfb", self.display, "-screen", "0", f"{width}x{height}x24"),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise TourError(f"Xvfb does not start on display {self.display}; see {log}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends the server where this started it."""
        if self._server is not None:
            end(self._server)
            self._server = None

    def move(self, x: float, y: float) -> None:
        self._mouse("mousemove", str(round(x)), str(round(y)))

    def click(self, x: float, y: float, button: int = LEFT, holding: str = "") -> None:
        """Presses and lets go, as a hand does: not in the moment in which the mouse arrives."""
        self.move(x, y)
        time.sleep(0.25)
        if holding:
            self._mouse("keydown", holding)
        self._mouse("click", str(button))
        if holding:
            self._mouse("keyup", holding)

    def wheel(self, x: float, y: float, direction: int, times: int) -> None:
        self.move(x, y)
        time.sleep(0.25)
        self._mouse("click", "--repeat", str(times), "--delay", "20", str(direction))

    def drag(self, start: tuple[float, float], end: tuple[float, float], button: int) -> None:
        """Moves the mouse while a button is held."""
        self.move(*start)
        time.sleep(0.25)
        self._mouse("mousedown", str(button))
        for step in range(1, DRAG_STEPS + 1):
            share = step / DRAG_STEPS
            self.move(*(a + share * (b - a) for a, b in zip(start, end, strict=True)))
            time.sleep(0.05)
        self._mouse("mouseup", str(button))

    def press(self, key: str) -> None:
        """Presses a key in the window under the mouse: without a window manager none has it."""
        found = re.search(r"WINDOW=(\d+)", self._mouse("getmouselocation", "--shell"))
        if found is not None:
            self._mouse("windowfocus", found[1])
            time.sleep(0.1)
        self._mouse("key", KEY_CODES.get(key, key))

    def shot(self, path: str) -> None:
        """Writes what the screen shows, all windows as they lie on each other."""
        run_inside(self, ["import", "-window", "root", path], timeout_s=60)

    def _mouse(self, *words: str) -> str:
        done = subprocess.run(
            self.command("xdotool", *words), capture_output=True, text=True, timeout=30
        )
        if done.returncode != 0:
            raise TourError(f"xdotool {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def _answers(self) -> bool:
        return self._succeeds("xdotool", "getdisplaygeometry")

    def _succeeds(self, *words: str) -> bool:
        try:
            done = subprocess.run(self.command(*words), capture_output=True, timeout=60)
        except OSError as error:
            raise TourError(f"The prefix cannot be run: {error}") from error
        return done.returncode == 0


def end(process: "subprocess.Popen[bytes]", patience_s: float = 10.0) -> None:
    """Asks a program to end and kills it where it does not."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class SharedFolder:
    """A folder that this script and Blender both see, perhaps at different paths."""

    here: Path
    inside: str

    @classmethod
    def parse(cls, text: str) -> "SharedFolder":
        """From `HERE` or `HERE=INSIDE`."""
        here, _, inside = text.partition("=")
        path = Path(here).expanduser().resolve()
        return cls(path, inside or str(path))

    def name_inside(self, path: Path) -> str:
        """What Blender calls a file of the folder."""
        return "/".join([self.inside.rstrip("/"), *path.relative_to(self.here).parts])


def run_inside(screen: Screen, words: Sequence[str], timeout_s: float) -> str:
    """What a program says. Raises TourError where it fails."""
    done = subprocess.run(
        screen.command(*words), capture_output=True, text=True, errors="replace", timeout=timeout_s
    )
    if done.returncode != 0:
        raise TourError(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
