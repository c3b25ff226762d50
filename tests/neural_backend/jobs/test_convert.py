# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

import neural_backend as nf
from neural_backend.jobs import run
from neural_backend.protocol.messages import Convert, Converted, JobFailed, Progress
from tests.tiny_capture import write_tiny_capture


@pytest.mark.parametrize("dialect", ["nerf_synthetic", "nerfstudio", "colmap_binary"])
def test_a_converted_capture_reads_as_the_same_cameras(tmp_path, dialect):
    capture = write_tiny_capture(tmp_path / "capture")
    job = Convert(capture=str(capture), output=str(tmp_path / "new"), dialect=dialect)
    events = list(run(job))
    assert events[-1] == Converted(job_id="job", output=str(tmp_path / "new"), num_views=9)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages[-1] == "copying pictures"
    before = {view.image.name: view for view in nf.load_capture(capture).views}
    after = {view.image.name: view for view in nf.load_capture(tmp_path / "new").views}
    assert after.keys() == before.keys()
    for name, view in after.items():
        np.testing.assert_allclose(view.camera_to_world, before[name].camera_to_world, atol=1e-6)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    capture = write_tiny_capture(tmp_path / "capture")
    (event,) = [
        event
        for event in run(Convert(capture=str(capture), output=str(capture)))
        if isinstance(event, JobFailed)
    ]
    assert "not empty" in event.message


def test_an_unknown_dialect_is_answered_with_the_known_ones(tmp_path):
    capture = write_tiny_capture(tmp_path / "capture")
    job = Convert(capture=str(capture), output=str(tmp_path / "new"), dialect="esperanto")
    failed = list(run(job))[-1]
    assert "no dialect 'esperanto'" in failed.message
    assert "colmap_text" in failed.remedy


def test_closing_a_conversion_leaves_nothing_half_done(tmp_path):
    capture = write_tiny_capture(tmp_path / "capture")
    events = run(Convert(capture=str(capture), output=str(tmp_path / "new")))
    next(events)
    next(events)
    events.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["capture"]
