# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as captures have them, good and bad."""

import json
from pathlib import Path

import pytest

from neural_backend.datasets.capture import distinct_times
from neural_backend.datasets.loading import load_cameras, load_capture
from neural_backend.datasets.time_map import TimeMap
from neural_backend.datasets.transforms_writing import write_transforms
from neural_backend.protocol.errors import JobError
from tests.tiny_capture import write_tiny_capture


def write(
    folder: Path, times: list[float | None], own: dict | None = None, splits: str = ""
) -> Path:
    """A capture with a picture for each time; `splits` has a letter for each, r or e for test."""
    write_tiny_capture(folder, num_views=len(times), size=8)
    file = folder / "transforms.json"
    values = json.loads(file.read_text())
    for index, (frame, time) in enumerate(zip(values["frames"], times, strict=True)):
        if time is not None:
            frame["time"] = time
        if splits:
            frame["split"] = {"r": "train", "e": "test"}[splits[index]]
    if own is not None:
        values["neural_fields"] = own
    file.write_text(json.dumps(values))
    return folder


def load(folder: Path):
    capture = load_capture(folder, hold_out=0)
    return capture, [view.time for view in capture.views]


def test_times_within_0_and_1_stay_as_they_are(tmp_path: Path) -> None:
    capture, times = load(write(tmp_path, [0.1, 0.3, 0.5, 0.9]))
    assert times == [0.1, 0.3, 0.5, 0.9]
    assert capture.is_dynamic
    assert not capture.warnings


@pytest.mark.parametrize("first", [-3.0, 0.5, 1e6])
def test_times_outside_are_mapped_and_said_so(tmp_path: Path, first: float) -> None:
    capture, times = load(write(tmp_path, [first, first + 1, first + 2, first + 4]))
    assert times == pytest.approx([0, 0.25, 0.5, 1])
    (warning,) = capture.warnings
    assert "were mapped to 0 to 1" in warning


def test_the_splits_of_dnerf_are_mapped_together(tmp_path: Path) -> None:
    write_tiny_capture(tmp_path, num_views=6, size=8)
    values = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").unlink()
    frames = values.pop("frames")
    for index, frame in enumerate(frames):
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
        frame["time"] = 2.0 * index
    for split, chosen in (("train", frames[:5]), ("test", frames[5:])):
        file = tmp_path / f"transforms_{split}.json"
        file.write_text(json.dumps({**values, "frames": chosen}))
    capture, times = load(tmp_path)
    assert times == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [view.split for view in capture.views] == ["train"] * 5 + ["test"]


@pytest.mark.parametrize("time", [0.0, 0.4, 7.0])
def test_all_times_equal_is_a_scene_that_does_not_move(tmp_path: Path, time: float) -> None:
    capture, times = load(write(tmp_path, [time] * 4))
    assert times == [None] * 4
    assert not capture.is_dynamic
    assert "does not move" in capture.warnings[-1]


def test_motion_that_only_test_pictures_show_cannot_be_learned(tmp_path: Path) -> None:
    capture, times = load(write(tmp_path, [0.5, 0.5, 0.0, 1.0], splits="rree"))
    assert times == [None] * 4
    assert "All 2 training pictures have the time 0.5" in capture.warnings[-1]


def test_a_missing_time_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"view images/view_01\.png without a time.*every frame"):
        load(write(tmp_path, [0.0, None, 1.0]))


def test_several_cameras_may_share_times(tmp_path: Path) -> None:
    capture, _ = load(write(tmp_path, [0.0, 0.0, 0.2, 0.2, 0.6, 0.6, 1.0, 1.0]))
    assert distinct_times(capture.views) == (0.0, 0.2, 0.6, 1.0)
    assert not capture.warnings


def test_two_moments_are_learned_and_said_to_be_few(tmp_path: Path) -> None:
    capture, times = load(write(tmp_path, [0.0, 1.0]))
    assert times == [0.0, 1.0]
    assert capture.is_dynamic
    assert "only 2 moments" in capture.warnings[0]


def test_a_time_map_comes_through_and_through_a_runs_own_file(tmp_path: Path) -> None:
    own = {"time_map": {"frame_start": 11, "frame_end": 31}}
    capture, _ = load(write(tmp_path / "a", [0.0, 0.25, 0.5, 1.0], own))
    assert capture.time_map == TimeMap(11, 31)
    write_transforms(capture, tmp_path / "capture.json")
    assert load_capture(tmp_path / "capture.json").time_map == TimeMap(11, 31)


def test_a_time_map_that_no_longer_fits_its_times_is_dropped(tmp_path: Path) -> None:
    own = {"time_map": {"frame_start": 1, "frame_end": 5}}
    capture, _ = load(write(tmp_path, [0.0, 1.0, 2.0, 4.0], own))
    assert capture.time_map is None


@pytest.mark.parametrize(
    ("time_map", "message"),
    [
        ({"frame_start": 7, "frame_end": 7}, "no length: it starts and ends at frame 7"),
        ({"frame_start": 7}, "a frame_start and a frame_end"),
        ([1, 2], "a frame_start and a frame_end"),
        ({"frame_start": True, "frame_end": 3}, "a frame_start and a frame_end"),
    ],
)
def test_an_impossible_time_map_is_explained(
    tmp_path: Path, time_map: object, message: str
) -> None:
    with pytest.raises(JobError, match=message):
        load(write(tmp_path, [0.0, 0.3, 0.6, 1.0], {"time_map": time_map}))


@pytest.mark.parametrize(("start", "end"), [(11, 31), (31, 11)])
def test_frames_and_times_map_back_exactly(start: int, end: int) -> None:
    time_map = TimeMap(start, end)
    frames = list(time_map.frames)
    assert (frames[0], frames[-1], len(frames)) == (start, end, 21)
    assert [time_map.time_of(frame) for frame in frames] == [index / 20 for index in range(21)]
    assert time_map.time_of(start - (end - start)) == 0.0
    assert time_map.time_of(end + (end - start)) == 1.0


def test_a_time_map_has_a_length() -> None:
    with pytest.raises(ValueError, match="two different frames"):
        TimeMap(3, 3)


def test_times_of_a_camera_path_are_those_of_the_capture_and_stay(tmp_path: Path) -> None:
    folder = write(tmp_path / "frozen", [0.3] * 4)
    assert [view.time for view in load_cameras(folder)] == [0.3] * 4
    folder = write(tmp_path / "late", [0.5, 1.5])
    with pytest.raises(JobError, match=r"view_01.*not between 0 and 1"):
        load_cameras(folder)
