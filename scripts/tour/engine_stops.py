# SPDX-License-Identifier: GPL-3.0-or-later
"""The field as a render engine, in the viewport and by F12, and its views behind the camera."""

import time
from typing import TYPE_CHECKING

from .screen import MIDDLE
from .training_stops import PATIENCE_S, STOP, begin, end_by, newest_job

if TYPE_CHECKING:
    from .stops import Tour

ENGINE = "NEURAL_FIELD"
OUTPUT = "NEURALFIELDS_PT_output"
VIEWS = "NEURALFIELDS_PT_output_views"
SAMPLE_CAMERA = "Sample Camera"
RENDER_VIEWS = "neural_fields.render_views"


def engine(tour: "Tour") -> None:
    """The field as a render engine: in the viewport, by F12, with Esc, and while it trains."""
    engines = tour.blender.ask("choose_engine", engine=ENGINE)
    tour.check(ENGINE in engines, "the field is a render engine")
    viewport(tour)
    show_one_field(tour)
    f12(tour)
    f12_and_escape(tour)
    f12_while_training(tour)


def viewport(tour: "Tour") -> None:
    """Rendered shading, while the view turns and once it is still."""
    tour.blender.ask("shade", kind="RENDERED", camera=False)
    time.sleep(6.0)
    tour.blender.ask("longest_times")
    box = tour.sidebar.box("WINDOW")
    middle = box.left + box.width / 3, box.top + box.height / 2
    tour.screen.drag(middle, (middle[0] + 90, middle[1] + 20), MIDDLE)
    tour.picture("viewport_moving", keep=False)
    tour.screen.drag(middle, (middle[0] - 90, middle[1] - 20), MIDDLE)
    time.sleep(6.0)
    tour.picture("window_viewport")
    tour.check_times("while the viewport is rendered")
    tour.blender.ask("shade", kind="SOLID", camera=False)


def f12(tour: "Tour", keep: bool = True) -> None:
    """One picture in a window of its own, large enough to see something of it."""
    size = "render.resolution_percentage"
    usual = tour.blender.ask("put", path=size, value=300)
    before = tour.blender.ask("renders")["complete"]
    start_render(tour)
    tour.blender.wait_until(
        "it is rendered", lambda: tour.blender.ask("renders")["complete"] > before, 240
    )
    time.sleep(1.5)
    tour.picture("window_render", keep=keep)
    close_last_window(tour)
    tour.blender.ask("put", path=size, value=usual)


def f12_and_escape(tour: "Tour") -> None:
    """A picture that takes long, which Esc ends at once."""
    larger = {"neural_fields.engine.samples": 8, "render.resolution_percentage": 300}
    usual = {
        path: tour.blender.ask("put", path=path, value=value) for path, value in larger.items()
    }
    before = tour.blender.ask("renders")["cancel"]
    start_render(tour)
    time.sleep(1.5)
    tour.check(tour.scene()["rendering"], "a picture is being rendered")
    tour.screen.press("Escape")
    started = time.monotonic()
    tour.blender.wait_until("it stops", lambda: not tour.scene()["rendering"], 60, 0.02)
    took = time.monotonic() - started
    tour.check(took < PATIENCE_S, f"Esc ends it in {took:.1f} s")
    tour.check(tour.blender.ask("renders")["cancel"] > before, "it counts as cancelled")
    for path, value in usual.items():
        tour.blender.ask("put", path=path, value=value)
    close_last_window(tour)


def f12_while_training(tour: "Tour") -> None:
    """Neither waits for the other."""
    tour.sidebar.show_only("NEURALFIELDS_PT_training")
    tour.blender.ask("put", path="neural_fields.training.seconds", value=90.0)
    begin(tour)
    step = newest_job(tour)["step"]
    f12(tour, keep=False)
    job = newest_job(tour)
    tour.check(job["state"] == "running", "F12 lets a training go on")
    tour.check(job["step"] > step, f"it learned meanwhile: {step} to {job['step']} steps")
    end_by(tour, STOP, "Stop & Keep")


def show_one_field(tour: "Tour") -> str:
    """Hides all but one field, which takes the sample's place; returns its name."""
    scene = tour.scene()
    field = next(item["name"] for item in scene["objects"] if item["run"])
    for item in scene["objects"]:
        if item["name"] != field and item["type"] in ("MESH", "EMPTY", "CAMERA"):
            hidden = item["name"] != SAMPLE_CAMERA
            for name in ("hide_viewport", "hide_render"):
                path = f'objects["{item["name"]}"].{name}'
                tour.blender.ask("put", path=path, value=hidden)
    tour.blender.ask("put", path=f'objects["{field}"].location', value=(0.0, 0.0, 0.0))
    return field


def show_everything(tour: "Tour") -> None:
    """What `show_one_field` has hidden is there again."""
    for item in tour.scene()["objects"]:
        for name in ("hide_viewport", "hide_render"):
            tour.blender.ask("put", path=f'objects["{item["name"]}"].{name}', value=False)


def start_render(tour: "Tour") -> None:
    box = tour.sidebar.box("WINDOW")
    tour.screen.move(box.left + box.width / 3, box.top + box.height / 2)
    windows = tour.scene()["windows"]
    tour.screen.press("F12")
    tour.blender.wait_until("a window opens", lambda: tour.scene()["windows"] > windows, 90)


def close_last_window(tour: "Tour") -> None:
    tour.blender.ask("close_window", window=tour.scene()["windows"] - 1)
    time.sleep(1.0)


def views(tour: "Tour") -> None:
    """A view of the field behind the scene, through the camera that it was rendered with."""
    tour.blender.ask("shade", kind="SOLID")
    field = show_one_field(tour)
    tour.blender.ask("choose_object", name=field)
    tour.sidebar.show_only(OUTPUT)
    tour.sidebar.unfold(VIEWS)
    settings = f'objects["{field}"].neural_field.views'
    tour.blender.ask("put", path=f"{settings}.use_scene_range", value=False)
    for name in ("frame_start", "frame_end"):
        tour.blender.ask("put", path=f"{settings}.{name}", value=1)
    jobs = len(tour.scene()["jobs"])
    tour.sidebar.press(RENDER_VIEWS)
    tour.blender.wait_until("a job runs", lambda: len(tour.scene()["jobs"]) > jobs, 90)
    tour.blender.wait_until("it ends", lambda: newest_job(tour)["state"] != "running", 240)
    problem = newest_job(tour)["problem"]
    tour.check(not problem, f"views were rendered {problem}")
    tour.blender.ask("shade", kind="SOLID")
    time.sleep(1.0)
    tour.picture("window_views")
