# SPDX-License-Identifier: GPL-3.0-or-later
"""A training while it runs: what is shown of it, and each way to stop it and to go on."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stops import Tour

TRAINING = "NEURALFIELDS_PT_training"
TRAIN = "neural_fields.train("
PAUSE = "neural_fields.pause_training"
RESUME = "neural_fields.resume_run"
STOP = "neural_fields.stop_training"
CANCEL = "neural_fields.discard_training"
TRAINING_S = 90.0
PATIENCE_S = 1.0
"""Whatever is stopped has ended after this long."""


def train(tour: "Tour") -> None:
    """A training with all that is shown of it, in two windows, and each way to end it."""
    tour.sidebar.show_only(TRAINING)
    tour.blender.ask("put", path="neural_fields.training.seconds", value=TRAINING_S)
    begin(tour)
    tour.blender.wait_until("curve and preview are shown", lambda: all(live(tour).values()), 120)
    tour.blender.wait_until("a third is over", lambda: share(newest_job(tour)) > 0.3, 120)
    tour.picture("window_training")
    tour.picture("panel_training_live", tour.sidebar.box().edges)
    two_windows(tour)
    pause_and_resume(tour)
    stop_and_keep(tour)
    cancel(tour)


def begin(tour: "Tour") -> None:
    before = len(tour.scene()["jobs"])
    tour.sidebar.press(TRAIN)
    tour.blender.wait_until("a job runs", lambda: len(tour.scene()["jobs"]) > before, 90)
    tour.blender.wait_until("it learns", lambda: newest_job(tour)["step"] > 0, 240)


def two_windows(tour: "Tour") -> None:
    """Both are drawn while the training goes on, and one is closed again."""
    tour.blender.ask("longest_times")
    number = tour.blender.ask("open_window") - 1
    step = newest_job(tour)["step"]
    time.sleep(3.0)
    tour.blender.wait_until("it goes on", lambda: newest_job(tour)["step"] > step, 30)
    tour.picture("two_windows", keep=False)
    tour.blender.ask("close_window", window=number)
    time.sleep(1.0)
    tour.check(newest_job(tour)["state"] == "running", "a second window does not disturb it")
    tour.check_times("while it trains")


def pause_and_resume(tour: "Tour") -> None:
    """What was learned is saved, and the training goes on from there."""
    step = newest_job(tour)["step"]
    end_by(tour, PAUSE, "Pause")
    time.sleep(1.0)
    tour.picture("panel_training_paused", tour.sidebar.box().edges, keep=False)
    jobs = len(tour.scene()["jobs"])
    tour.sidebar.press(RESUME)
    tour.blender.wait_until("it is resumed", lambda: len(tour.scene()["jobs"]) > jobs, 90)
    tour.blender.wait_until("it learns", lambda: newest_job(tour)["step"] > 0, 240)
    resumed = newest_job(tour)["step"]
    tour.check(resumed > step, f"Resume goes on from step {step}, at {resumed} now")


def stop_and_keep(tour: "Tour") -> None:
    """What is there becomes a field."""
    time.sleep(3.0)
    fields = number_of_fields(tour.scene())
    run = newest_job(tour)["run"]
    end_by(tour, STOP, "Stop & Keep")
    tour.check(number_of_fields(tour.scene()) >= fields, "Stop & Keep keeps the field")
    tour.check(bool(tour.blender.ask("run_exists", run=run)), "its run is kept")


def cancel(tour: "Tour") -> None:
    """Asks first; then the run is gone."""
    begin(tour)
    time.sleep(3.0)
    run = newest_job(tour)["run"]
    tour.sidebar.press(CANCEL)
    time.sleep(1.0)
    tour.picture("cancel_asks", keep=False)
    tour.check(newest_job(tour)["state"] == "running", "Cancel asks first")
    end_by(tour, "", "Cancel")
    gone = tour.blender.wait_until(
        "the run is deleted", lambda: not tour.blender.ask("run_exists", run=run), 10
    )
    tour.check(gone, "Cancel deletes the new run")


def end_by(tour: "Tour", button: str, name: str) -> None:
    """Presses a button, or Return where there is none, and looks how long the job still runs."""
    if button:
        tour.sidebar.press(button)
    else:
        tour.screen.press("Return")
    started = time.monotonic()
    tour.blender.wait_until(
        f"{name} ends it", lambda: newest_job(tour)["state"] != "running", 60, 0.05
    )
    took = time.monotonic() - started
    # Pressing ends with the mouse at rest, some tenths of a second after the click.
    tour.check(took < PATIENCE_S, f"{name} ends it in {took:.1f} s")


def live(tour: "Tour") -> dict[str, int]:
    return tour.blender.ask("shown_live")


def newest_job(tour: "Tour") -> dict[str, Any]:
    return tour.scene()["jobs"][-1]


def share(job: dict[str, Any]) -> float:
    """How far a job is, from 0 to 1."""
    return job["done"] / job["total"] if job["total"] else 0.0


def number_of_fields(scene: dict[str, Any]) -> int:
    return sum(bool(item["run"]) for item in scene["objects"])
