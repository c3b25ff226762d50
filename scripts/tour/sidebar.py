# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's tab in the sidebar, as the mouse finds it: where its panels and buttons are."""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from .conversation import Conversation
from .screen import LEFT, WHEEL_DOWN, WHEEL_UP, Screen, TourError

HEADERS = (60, 44)
"""Where the marks of panels and sub-panels are, in pixels from the right edge at scale 1."""
BUTTONS = (60, 120, 210)
"""What stands side by side is met in one of these."""
STEP = 9
"""Pixels between two looks at scale 1, where a button is 20 high."""
SETTLE_S = 0.05
MARK = re.compile(r"context_set_string\(data_path=\"(NEURALFIELDS_PT_\w+)\"")


@dataclass(frozen=True)
class Box:
    """A region on the screen, in points from its upper left corner."""

    window: int
    area: int
    region: str
    left: float
    top: float
    width: float
    height: float

    @property
    def edges(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.left + self.width, self.top + self.height


@dataclass
class Map:
    """What the mouse met: the middle of each button and of each panel's header."""

    buttons: dict[str, tuple[float, float]] = field(default_factory=dict)
    headers: dict[str, tuple[float, float]] = field(default_factory=dict)

    def place_of(self, name: str) -> tuple[float, float] | None:
        """Of the first button whose call or path has this in it."""
        return next((at for call, at in self.buttons.items() if name in call), None)

    @property
    def lowest(self) -> float:
        return max((y for _, y in [*self.buttons.values(), *self.headers.values()]), default=0.0)


@dataclass
class Sidebar:
    """Finds and presses buttons in it. Nothing knows where they are until they are looked for."""

    screen: Screen
    blender: Conversation

    def box(self, region: str = "UI", area_type: str = "VIEW_3D", window: int = 0) -> Box:
        """Where a region is. Raises TourError where there is none."""
        found = [
            one
            for one in self.blender.ask("regions")
            if (one["region"], one["area_type"], one["window"]) == (region, area_type, window)
        ]
        if not found:
            raise TourError(f"there is no {region} region of a {area_type} in window {window}")
        one = max(found, key=lambda one: one["width"] * one["height"])
        top = self.screen.size[1] - one["y"] - one["height"]
        return Box(window, one["area"], region, one["x"], top, one["width"], one["height"])

    def look(self, box: Box, columns: tuple[int, ...] = HEADERS, until: str = "") -> Map:
        """Moves the mouse over a region and notes what is under it, until it has met a name."""
        met: dict[str, list[tuple[float, float]]] = {}
        scale = self.blender.ask("scale")
        found = False
        for column in columns:
            x, y = box.left + box.width - column * scale, box.top + STEP * scale / 2
            while y < box.top + box.height:
                name = self.under(box, x, y)
                if found and not (name and until in name):
                    break
                if name:
                    met.setdefault(name, []).append((x, y))
                    found = bool(until) and until in name
                y += STEP * scale
            if found:
                break
        self.rest(box)
        return map_of(met)

    def under(self, box: Box, x: float, y: float) -> str:
        self.screen.move(x, y)
        time.sleep(SETTLE_S)
        return self.blender.ask("under_mouse", window=box.window, area=box.area, region=box.region)

    def rest(self, box: Box) -> None:
        """Takes the mouse away, so that nothing is highlighted and no tooltip shows."""
        self.screen.move(max(box.left - 200, 5), box.top + box.height / 2)
        time.sleep(0.3)

    def press(self, name: str, button: int = LEFT) -> None:
        """Presses a button by its operator or property; scrolls down to it where it is not seen.

        Raises:
            TourError: where it is nowhere.
        """
        box = self.box()
        self.scroll(box, WHEEL_UP, 40)
        for _ in range(6):
            seen = self.look(box, BUTTONS, until=name)
            if place := seen.place_of(name):
                self.screen.click(*place, button=button)
                self.rest(box)
                return
            self.scroll(box, WHEEL_DOWN, 6)
        raise TourError(f"there is no button for {name} in the sidebar")

    def scroll(self, box: Box, direction: int, times: int) -> None:
        # Not where no panel is: there the wheel would reach the view behind and zoom it.
        scale = self.blender.ask("scale")
        x, y = box.left + box.width - HEADERS[0] * scale, box.top + 10 * scale
        self.screen.wheel(x, y, direction, times)
        self.rest(box)

    def show_only(self, panel: str) -> None:
        """Opens a panel and closes the others, as Ctrl and a click on its header do."""
        box = self.box()
        self.scroll(box, WHEEL_UP, 40)
        for _ in range(6):
            seen = self.look(box, HEADERS[:1], until=f'"{panel}"')
            if panel in seen.headers:
                _, y = seen.headers[panel]
                self.screen.click(box.left + 0.4 * box.width, y, holding="ctrl")
                self.rest(box)
                return
            self.scroll(box, WHEEL_DOWN, 6)
        raise TourError(f"there is no panel {panel} in the sidebar")

    def unfold(self, panel: str, seen: Map | None = None) -> None:
        """Opens a sub-panel by a click on its header, where it is there and closed."""
        box = self.box()
        seen = seen or self.look(box, HEADERS)
        if panel not in seen.headers or is_unfolded(seen, panel):
            return
        _, y = seen.headers[panel]
        self.screen.click(box.left + 0.4 * box.width, y)
        self.rest(box)


def map_of(met: dict[str, list[tuple[float, float]]]) -> Map:
    """The middle of each run of looks that met the same button."""
    found = Map()
    for name, places in met.items():
        x, _ = places[0]
        in_column = sorted(y for at, y in places if at == x)
        middle = (x, (in_column[0] + in_column[-1]) / 2)
        mark = MARK.search(name)
        if mark:
            found.headers[mark[1]] = middle
        else:
            found.buttons[name] = middle
    return found


def is_unfolded(seen: Map, panel: str) -> bool:
    """Whether something stands between a panel's header and the next."""
    _, y = seen.headers[panel]
    below = [other for _, other in seen.headers.values() if other > y]
    end = min(below, default=float("inf"))
    return any(y < other < end for _, other in seen.buttons.values())


def shown_panels(answer: list[dict[str, Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """The panels at the top, in their order, and the sub-panels of each that begin closed."""
    children: dict[str, list[str]] = {}
    ancestor: dict[str, str] = {}
    for one in answer:  # parents come before their children
        if not one["parent"] and one["shown"]:
            children[one["id"]] = []
            ancestor[one["id"]] = one["id"]
        elif one["parent"] in ancestor and one["shown"]:
            ancestor[one["id"]] = ancestor[one["parent"]]
            if one["closed"]:
                children[ancestor[one["id"]]].append(one["id"])
    return list(children), children
