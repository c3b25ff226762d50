# SPDX-License-Identifier: GPL-3.0-or-later
"""The other ways to a field: a shape that is learned, photos that are imported, what moves."""

import time
from typing import TYPE_CHECKING

from .engine_stops import show_everything
from .sidebar import is_unfolded
from .training_stops import TRAIN, newest_job

if TYPE_CHECKING:
    from .stops import Tour

CAPTURE = "NEURALFIELDS_PT_capture"
MOVING = "NEURALFIELDS_PT_capture_time"
CHECK = "NEURALFIELDS_PT_capture_check"
SHAPES = "NEURALFIELDS_PT_shapes"
OUTPUT = "NEURALFIELDS_PT_output"
TRAINING = "NEURALFIELDS_PT_training"
FIT = "neural_fields.fit_shape("
CHECK_CAPTURE = "neural_fields.check_capture("
RENDER_CAPTURE = "neural_fields.render_capture("
SAMPLE_PART = "Toadstool Cap"


def shapes(tour: "Tour") -> None:
    """A mesh of the sample is learned as a shape."""
    show_everything(tour)
    tour.blender.ask("choose_object", name=SAMPLE_PART)
    tour.blender.ask("put", path="neural_fields.fit_shape.seconds", value=10.0)
    tour.sidebar.show_only(SHAPES)
    shapes_before = len(shape_names(tour))
    do(tour, FIT, 120)
    tour.blender.wait_until("its mesh is there", lambda: len(shape_names(tour)) > shapes_before, 60)
    tour.blender.ask("choose_object", name=shape_names(tour)[0])
    tour.sidebar.show_only(SHAPES)
    time.sleep(1.0)
    tour.picture("window_shapes")


def photos(tour: "Tour") -> None:
    """A folder of pictures with their cameras is imported and checked."""
    tour.blender.ask("import_capture", path=tour.blender.ask("captures")[0])
    tour.sidebar.show_only(CAPTURE)
    seen = tour.sidebar.look(tour.sidebar.box(), (60, 44))
    if CHECK in seen.headers and not is_unfolded(seen, CHECK):
        tour.sidebar.unfold(CHECK, seen)
    tour.sidebar.press(CHECK_CAPTURE)
    time.sleep(3.0)
    tour.blender.ask("shade", kind="SOLID")
    time.sleep(1.0)
    tour.picture("window_photos")


def moving(tour: "Tour") -> None:
    """The sample moves, its pictures are taken at different moments, and a field learns it."""
    show_everything(tour)
    tour.blender.ask("animate", name=SAMPLE_PART, frames=12)
    for path, value in (
        ("frame_end", 12),
        ("neural_fields.capture.source", "COLLECTION"),
        ("neural_fields.capture.moving_scene", True),
        ("neural_fields.training.method_choice", "auto"),
        ("neural_fields.training.seconds", 20.0),
    ):
        tour.blender.ask("put", path=path, value=value)
    tour.sidebar.show_only(CAPTURE)
    captures = len(tour.blender.ask("captures"))
    tour.sidebar.press(RENDER_CAPTURE)
    time.sleep(5.0)
    tour.picture("panel_capturing", tour.sidebar.box().edges)
    tour.blender.wait_until(
        "the pictures are taken",
        lambda: len(tour.blender.ask("captures")) > captures and not tour.scene()["rendering"],
        300,
    )
    tour.sidebar.show_only(TRAINING)
    do(tour, TRAIN, 240)
    tour.sidebar.show_only(OUTPUT)
    time.sleep(1.0)
    tour.picture("panel_output_moving", tour.sidebar.box().edges)


def do(tour: "Tour", button: str, timeout_s: float) -> None:
    """Presses a button that hands a job to the worker, and waits for the job's end."""
    jobs = len(tour.scene()["jobs"])
    tour.sidebar.press(button)
    tour.blender.wait_until("a job runs", lambda: len(tour.scene()["jobs"]) > jobs, 90)
    tour.blender.wait_until("it ends", lambda: newest_job(tour)["state"] != "running", timeout_s)
    job = newest_job(tour)
    tour.check(not job["problem"], f"{job['label']} went well {job['problem']}")


def shape_names(tour: "Tour") -> list[str]:
    return [one["name"] for one in tour.scene()["objects"] if one["name"].startswith("Neural Shape")
            and one["type"] == "EMPTY"]  # fmt: skip
