# SPDX-License-Identifier: GPL-3.0-or-later
"""How pictures are taken over from the worker: at once, and while something else goes on."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import engine_requests
from neural_fields.addon.engine_requests import FrameFailedError, Request
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.worker.protocol import messages

pytestmark = [pytest.mark.blender, pytest.mark.timeout(60)]


@dataclass
class Answers:
    """A worker that has answered what it was given."""

    ready: dict[str, Any] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    def take(self, job_id: str) -> Any:
        return self.ready.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


def written(path: Path, alpha: float, depth: float) -> None:
    pixels = np.zeros((2, 3, 5), np.float32)
    pixels[..., 0], pixels[..., 3], pixels[..., 4] = alpha, alpha, depth
    np.save(path, pixels)


def asked(folder: Path, count: int = 1) -> Request:
    jobs = [SimpleNamespace(job_id=f"{n}", output=str(folder / f"{n}.npy")) for n in range(count)]
    views = [SimpleNamespace(scale=1.0)] * count
    return Request(Answers(), views, jobs)  # type: ignore[arg-type]


def answer(request: Request, number: int) -> None:
    job = request.jobs[number]
    request.worker.ready[job.job_id] = messages.FrameReady(
        job_id=job.job_id, output=job.output, width=3, height=2, seconds=0.5
    )


def taken_in_passing(request: Request, background: Any = None) -> Any:
    """Asks again and again, as drawings do."""
    for _ in range(1000):
        pixels = request.take_in_passing(background)
        if pixels is not None:
            return pixels
        time.sleep(0.002)
    raise AssertionError("no picture came")


def test_a_thread_reads_the_picture_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, go_on, readers = asked(tmp_path), threading.Event(), []
    written(tmp_path / "0.npy", alpha=0.25, depth=2.0)
    read = engine_requests.read_frame

    def slow_read(*arguments: Any) -> Any:
        readers.append(threading.current_thread())
        assert go_on.wait(20)
        return read(*arguments)

    monkeypatch.setattr(engine_requests, "read_frame", slow_read)
    assert request.take_in_passing(None) is None
    assert not request.is_reading
    answer(request, 0)
    assert request.take_in_passing(None) is None
    assert request.is_reading
    go_on.set()
    pixels = taken_in_passing(request)
    assert not request.is_reading
    assert readers != [threading.main_thread()]
    assert len(readers) == 1
    np.testing.assert_array_equal(pixels.rgba[0, 0], [0.25, 0, 0, 0.25])
    assert not (tmp_path / "0.npy").exists()


def test_the_picture_lies_in_front_of_the_color_that_was_asked_for(tmp_path: Path) -> None:
    request = asked(tmp_path)
    written(tmp_path / "0.npy", alpha=0.25, depth=2.0)
    answer(request, 0)
    pixels = taken_in_passing(request, (0.0, 0.4, 0.8))
    np.testing.assert_allclose(pixels.rgba[1, 2], [0.25, 0.3, 0.6, 1.0], atol=1e-6)
    np.testing.assert_array_equal(pixels.depth, np.full((2, 3), 2.0))


def test_in_passing_and_at_once_give_the_same(tmp_path: Path) -> None:
    found = []
    for take in (taken_in_passing, Request.take):
        request = asked(tmp_path, count=2)
        written(tmp_path / "0.npy", alpha=0.5, depth=3.0)
        written(tmp_path / "1.npy", alpha=0.25, depth=1.0)
        answer(request, 0)
        assert request.take() is None
        answer(request, 1)
        found.append(take(request))
        assert request.seconds == 1.0
    np.testing.assert_array_equal(found[0].rgba, found[1].rgba)
    np.testing.assert_array_equal(found[0].depth, found[1].depth)


def test_what_cannot_be_read_is_told_to_who_asks(tmp_path: Path) -> None:
    request = asked(tmp_path)
    (tmp_path / "0.npy").write_bytes(b"no picture")
    answer(request, 0)
    with pytest.raises(SceneError, match="cannot be read"):
        taken_in_passing(request)
    assert not (tmp_path / "0.npy").exists()


def test_a_part_that_failed_is_told_and_the_others_are_cancelled(tmp_path: Path) -> None:
    request = asked(tmp_path, count=2)
    request.worker.ready["1"] = messages.JobFailed(job_id="1", message="No.", remedy="Wait.")
    with pytest.raises(FrameFailedError, match=r"No\. Wait\."):
        request.take_in_passing(None)
    assert request.worker.forgotten == ["0", "1"]
