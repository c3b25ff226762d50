# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of a training, and through which camera."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.datasets.loading import load_capture
from neural_backend.jobs import previews, run
from neural_backend.jobs.previews import Previews
from neural_backend.methods import registry
from neural_backend.protocol.messages import Progress, Train, Warned
from tests import tiny_method
from tests.tiny_capture import write_tiny_capture


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    tiny_method.register()


@pytest.fixture
def job(tmp_path) -> Train:
    capture = write_tiny_capture(tmp_path / "capture")
    return Train(
        capture=str(capture),
        run=str(tmp_path / "run"),
        method="tiny",
        steps=60,
        preview_seconds=1e-4,
        preview_camera=str(tmp_path / "camera.json"),
        settings=("step_seconds=0.03",),
    )


def write_camera(path: str, width: int, height: int, distance: float) -> None:
    pose = np.eye(4)
    pose[2, 3] = distance
    frame = {"file_path": "", "transform_matrix": pose.tolist(), "time": 0.5}
    values = {"w": width, "h": height, "fl_x": width, "fl_y": width, "frames": [frame]}
    Path(path).write_text(json.dumps(values), encoding="utf-8")


def test_previews_follow_a_camera_that_moves_while_it_trains(job):
    """It looks away at first, then at the box, and gets another size."""
    write_camera(job.preview_camera, 20, 10, -30.0)
    seen = []
    for event in run(job):
        if isinstance(event, Progress) and event.preview:
            with Image.open(event.preview) as picture:
                seen.append((picture.size, np.asarray(picture)[..., 3].max()))
            write_camera(job.preview_camera, 8, 12, 3.0)
    assert len(seen) > 1
    assert seen[0] == ((20, 10), 0)
    assert seen[-1][0] == (8, 12)
    assert seen[-1][1] > 0
    files = [path.name for path in (Path(job.run) / "previews").iterdir()]
    assert files == ["live.png"]


@pytest.mark.parametrize("damage", ["absent", "half written", "no frames"])
def test_a_camera_that_cannot_be_read_is_said_once_and_another_taken(job, damage):
    if damage != "absent":
        text = '{"frames": [' if damage == "half written" else '{"frames": []}'
        Path(job.preview_camera).write_text(text, encoding="utf-8")
    events = list(run(job))
    previews_seen = [event for event in events if isinstance(event, Progress) and event.preview]
    said = [event for event in events if isinstance(event, Warned)]
    assert len(previews_seen) > 1
    assert ["held-out camera" in event.message for event in said] == [True]


def test_previews_take_at_most_a_tenth_of_the_time(job, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(_method, _view, _file):
        now[0] += 2.0

    monkeypatch.setattr(previews, "write_preview", slow)
    capture = previews_capture(job)
    watched = Previews(replace(job, preview_camera=""), capture, Path(job.run))
    assert watched.due(0.0)
    watched.write(None, 1, 0.0)
    assert not watched.due(1e-5), "the wanted pause is not over"
    now[0] += 17.9
    assert not watched.due(50.0)
    now[0] += 0.2
    assert watched.due(50.0)


def previews_capture(job):
    return load_capture(job.capture)


def test_without_a_wish_there_are_none(job):
    watched = Previews(replace(job, preview_seconds=0.0), previews_capture(job), Path(job.run))
    assert not watched.due(1e9)
