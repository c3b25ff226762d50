# SPDX-License-Identifier: GPL-3.0-or-later
"""The other ways to a field: a shape that is learned, photos that are imported, what moves."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .engine_stops import show_everything
from .training_stops import TRAIN, newest_job

if TYPE_CHECKING:
    from .stops import Tour

CAPTURE = "NEURALFIELDS_PT_capture"
CHECK = "NEURALFIELDS_PT_capture_check"
SHAPES = "NEURALFIELDS_PT_shapes"
OUTPUT = "NEURALFIELDS_PT_output"
MOTION = "NEURALFIELDS_PT_output_motion"
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
    # It stands where the mesh stands that it was learned of.
    hide(tour, lambda one: one["name"] == SAMPLE_PART)
    tour.sidebar.show_only(SHAPES)
    time.sleep(1.0)
    tour.picture("window_shapes")


def photos(tour: "Tour") -> None:
    """A folder of pictures with their cameras is imported and checked."""
    hide(tour, lambda one: True)
    before = {one["name"] for one in tour.scene()["objects"]}
    tour.blender.ask("import_capture", path=tour.blender.ask("captures")[0])
    cameras = [one["name"] for one in tour.scene()["objects"] if one["name"] not in before
               and one["type"] == "CAMERA"]  # fmt: skip
    tour.check(len(cameras) > 1, f"{len(cameras)} pictures have become cameras")
    tour.blender.ask("look_through", name=cameras[0])
    tour.sidebar.show_only(CAPTURE)
    tour.sidebar.unfold(CHECK)
    tour.sidebar.press(CHECK_CAPTURE)
    time.sleep(3.0)
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
    fields = [one["name"] for one in tour.scene()["objects"] if one["run"]]
    tour.blender.ask("choose_object", name=fields[-1])
    tour.sidebar.show_only(OUTPUT)
    tour.sidebar.unfold(MOTION)
    time.sleep(1.0)
    tour.picture("panel_output_moving", tour.sidebar.box().edges)


def hide(tour: "Tour", which: Callable[[dict[str, Any]], bool]) -> None:
    """Takes objects out of the 3D view, as the eye in the outliner's last column does."""
    for one in tour.scene()["objects"]:
        if which(one):
            tour.blender.ask("put", path=f'objects["{one["name"]}"].hide_viewport', value=True)


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
