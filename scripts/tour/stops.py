# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tour stops: what it presses there, what has to be true then, and its pictures."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import pictures
from .conversation import Conversation
from .engine_stops import engine, views
from .screen import Screen, SharedFolder, TourError
from .sidebar import Box, Map, Sidebar, shown_panels
from .training_stops import TRAINING, train
from .work_stops import moving, photos, shapes

TAB = "Neural Fields"
FIND = "neural_fields.find_environment"
TRY_IT = "neural_fields.try_it"
SETUP = "NEURALFIELDS_PT_setup"
MOST_S = 0.05
"""The add-on never holds the window up for longer."""
BLENDERS_OWN = "begin_render"
"""Blender's Render Image makes a context for OpenGL whenever it begins: 15 to 50 ms without a
graphics card, as where the tour is made, with any scene and without the add-on too.
"""
MARGIN = 24
"""Pixels at scale 1 that a picture shows below a panel's last button."""


@dataclass
class Tour:
    """One Blender window, what was seen in it and what was not as it should be."""

    screen: Screen
    blender: Conversation
    shared: SharedFolder
    output: Path
    worker: str = ""
    """The worker's Python, as Blender sees it."""
    faults: list[str] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sidebar = Sidebar(self.screen, self.blender)

    def check(self, holds: bool, sentence: str) -> None:
        """Notes whether something is as it should be."""
        sys.stdout.write(f"  {'ok   ' if holds else 'FAULT'} {sentence}\n")
        sys.stdout.flush()
        if not holds:
            self.faults.append(sentence)

    def check_times(self, when: str, most_s: float = MOST_S) -> None:
        """Notes what has held the window up for too long since this was asked last.

        How long the processor was at work is told too: where it is much less, other programs kept
        the call waiting, and the tour is to be made again on a quiet machine.
        """
        times = self.blender.ask("longest_times")
        renders = times.pop(BLENDERS_OWN, [])
        longest = sorted(((took[0], name) for name, took in times.items()), reverse=True)
        told = ", ".join(
            f"{name} {1000 * took:.0f} ms ({1000 * busy:.0f} busy)"
            for (took, busy), name in longest[:3]
        )
        if renders:
            told += f"; Blender's own Render Image takes {1000 * renders[0][0]:.0f} ms to begin"
        slow = [name for (took, _), name in longest if took > most_s]
        self.check(bool(longest) and not slow, f"{when} the window waits for: {told}")

    def picture(self, name: str, box: tuple[float, ...] | None = None, keep: bool = True) -> None:
        """Takes a screenshot, or what is inside a box of it; `keep` for the documentation."""
        time.sleep(0.4)
        raw = self.shared.here / f"{name}.png"
        self.screen.shot(self.shared.name_inside(raw))
        shot = pictures.cropped(raw, box or (0, 0, *self.screen.size))
        self.check(not pictures.is_blank(shot), f"{name}.png shows something")
        if keep:
            self.made[name] = pictures.save(shot, self.output / f"{name}.png")

    def scene(self) -> dict[str, Any]:
        return self.blender.ask("scene")


def open_the_tab(tour: Tour) -> None:
    """The sidebar, and in it the add-on's tab by a click on its name."""
    about = tour.blender.ask("about")
    tour.check(about["enabled"], "the installed add-on is enabled")
    tour.check(not about["heavy"], "nothing of torch is in Blender's process")
    tour.blender.ask("mark_headers")
    tour.blender.ask("watch_times")
    tour.blender.ask("renders")
    tour.blender.ask("open_sidebar")
    time.sleep(1.0)
    click_the_tab(tour)
    tour.check(tour.blender.ask("open_sidebar") == TAB, f"the tab {TAB} is open")
    tour.picture("window_start")


def click_the_tab(tour: Tour) -> None:
    """Tabs stand at the right edge of the sidebar; Blender tells of none where it is."""
    box = tour.sidebar.box()
    x, y = box.left + box.width - 8, box.top + 20
    while y < box.top + box.height:
        tour.screen.click(x, y)
        if tour.blender.ask("open_sidebar") == TAB:
            return
        y += 20
    raise TourError(f"no click at the sidebar's edge opens the tab {TAB}")


def set_up(tour: Tour) -> None:
    """The worker's Python is missing; then there is one, and Find finds it."""
    tour.blender.wait_until("Set Up is shown", lambda: is_shown(tour, SETUP), 30)
    panel_picture(tour, "panel_setup", SETUP)
    (tour.shared.here / "environment").symlink_to(Path(tour.worker).parents[1])
    tour.sidebar.press(FIND)
    tour.blender.wait_until("a Python is found", lambda: not is_shown(tour, SETUP), 180)
    tour.check(True, "Find has found the worker's Python, and Set Up is gone")
    tour.blender.wait_until(
        "its checks are through", lambda: not tour.blender.ask("about")["looking"], 120
    )


def is_shown(tour: Tour, panel: str) -> bool:
    return any(one["id"] == panel and one["shown"] for one in tour.blender.ask("panels"))


def try_it(tour: Tour) -> None:
    """One click, and a result about a minute later."""
    tour.sidebar.show_only(TRAINING)
    tour.sidebar.press(TRY_IT)
    started = time.monotonic()
    tour.blender.wait_until("a job runs", lambda: tour.scene()["jobs"], 240)
    tour.blender.wait_until("it has learned something", lambda: is_learning(tour.scene()), 240)
    time.sleep(3)
    tour.picture("window_try_it", keep=False)
    tour.picture("panel_try_it", tour.sidebar.box().edges, keep=False)
    tour.check_times("while the sample is learned")
    found = tour.blender.wait_until("there is a result", lambda: result_of(tour.scene()), 300, 1.0)
    sys.stdout.write(f"  a result after {time.monotonic() - started:.0f} s\n")
    tour.check(found["psnr"] > 15, f"its quality is told: {found['psnr']:.1f} dB")
    tour.blender.wait_until("nothing runs", lambda: is_idle(tour.scene()), 120)
    problems = [job["problem"] for job in tour.scene()["jobs"] if job["problem"]]
    tour.check(not problems, f"no job had a problem {problems or ''}")
    tour.check_times("at the end, with the mesh brought in,")
    tour.picture("window_result")
    tour.picture("panel_training_done", tour.sidebar.box().edges)


def is_learning(scene: dict[str, Any]) -> bool:
    return any(job["done"] > 0 or job["state"] != "running" for job in scene["jobs"])


def is_idle(scene: dict[str, Any]) -> bool:
    return not any(job["state"] == "running" for job in scene["jobs"])


def result_of(scene: dict[str, Any]) -> dict[str, Any] | None:
    """The field's empty, once there is a mesh with some detail beside it. Raises TourError where
    the job has failed.
    """
    failed = [job for job in scene["jobs"] if job["state"] == "failed" or job["problem"]]
    if failed:
        raise TourError(f"{failed[0]['label']}: {failed[0]['problem']}")
    fields = [item for item in scene["objects"] if item["run"]]
    meshes = [item for item in scene["objects"] if item["name"].startswith("Neural Field Mesh")]
    has_mesh = any(item["vertices"] > 500 and item["visible"] for item in meshes)
    return fields[0] if fields and has_mesh else None


def every_panel(tour: Tour) -> None:
    """A picture of each panel with its sub-panels open."""
    top, _ = shown_panels(tour.blender.ask("panels"))
    for panel in top:
        panel_picture(tour, f"panel_{panel.removeprefix('NEURALFIELDS_PT_')}", panel)
    tour.check(len(top) >= 5, f"the tab has {len(top)} panels")


def panel_picture(tour: Tour, name: str, panel: str) -> None:
    tour.sidebar.show_only(panel)
    children = shown_panels(tour.blender.ask("panels"))[1]
    box = tour.sidebar.box()
    seen = tour.sidebar.look(box)
    for child in reversed(children[panel]):
        tour.sidebar.unfold(child, seen)
    seen = tour.sidebar.look(box)
    bottom = bottom_of(seen, panel, box, MARGIN * tour.blender.ask("scale"))
    left, top, right, _ = box.edges
    tour.check(bool(seen.buttons), f"{panel} has buttons")
    tour.picture(name, (left, top, right, bottom))


def bottom_of(seen: Map, panel: str, box: Box, margin: float) -> float:
    """Below what is open; the closed panels that follow are seen too, as they are by an artist."""
    return min(seen.lowest + margin, box.top + box.height)


def preferences(tour: Tour) -> None:
    """The add-on's page in Blender's preferences."""
    tour.blender.ask("open_preferences")
    tour.blender.wait_until("a window opens", lambda: tour.scene()["windows"] > 1, 20)
    time.sleep(1.0)
    window = tour.scene()["windows"] - 1
    box = tour.sidebar.box("WINDOW", "PREFERENCES", window)
    width, height = box.left + box.width, box.top + box.height
    tour.picture("preferences", (0, 0, width, height))
    tour.blender.ask("close_window", window=window)


STOPS: dict[str, Callable[[Tour], None]] = {
    "tab": open_the_tab,
    "setup": set_up,
    "try": try_it,
    "panels": every_panel,
    "preferences": preferences,
    "views": views,
    "train": train,
    "engine": engine,
    "shapes": shapes,
    "moving": moving,
    "photos": photos,
}
