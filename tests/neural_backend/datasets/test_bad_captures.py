# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a capture is said with a remedy, and costs no more than it must."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_cameras, load_capture
from neural_backend.protocol.errors import JobError
from tests.neural_backend.datasets.small_captures import (
    transforms_values,
    write_json,
    write_picture,
    write_small_capture,
)


def refused(path: Path, *words: str) -> JobError:
    """Loading fails with a message that has these words, names the path and gives a remedy."""
    with pytest.raises(JobError) as caught:
        load_capture(path)
    for word in words:
        assert word in caught.value.message
    assert caught.value.remedy
    return caught.value


def broken(folder: Path, change: Callable[[dict], object]) -> Path:
    """A small capture in which one thing is not as it should be."""
    values = transforms_values()
    write_small_capture(folder, values)
    change(values)
    write_json(folder / "transforms.json", values)
    return folder


def matrix(values: dict, index: int = 2) -> list[list[float]]:
    return values["frames"][index]["transform_matrix"]


def scale_axes(values: dict, *factors: float) -> None:
    for row in matrix(values)[:3]:
        row[:3] = [value * factor for value, factor in zip(row, factors, strict=False)]


def shear(values: dict) -> None:
    for row in matrix(values)[:3]:
        row[0] += 0.3 * row[1]


BAD_POSES = {
    "NaN": lambda values: matrix(values)[0].__setitem__(3, math.nan),
    "infinite": lambda values: matrix(values)[0].__setitem__(0, math.inf),
    "singular": lambda values: scale_axes(values, 0.0, 1.0, 1.0),
    "left-handed": lambda values: scale_axes(values, -1.0, 1.0, 1.0),
    "sheared": shear,
    "4 rows of 4": lambda values: matrix(values).__delitem__(slice(2)),
    "4 numbers": lambda values: matrix(values).__setitem__(0, ["a", "b", "c", "d"]),
    "last row": lambda values: matrix(values)[3].__setitem__(0, 1.0),
}


@pytest.mark.parametrize("problem", BAD_POSES)
def test_a_bad_pose_is_named(tmp_path: Path, problem: str) -> None:
    folder = broken(tmp_path, BAD_POSES[problem])
    refused(folder, "transforms.json", "images/view_2.png", problem)


BAD_LENSES: dict[str, dict] = {
    "-30": {"fl_x": -30.0},
    "0 ×": {"fl_x": 0.0, "fl_y": 0.0},
    "fl_x of": {"fl_x": "wide"},
    "k1 of": {"k1": math.nan},
    "radians": {"fl_x": None, "fl_y": None, "camera_angle_x": 4.0},
    "neither fl_x": {"fl_x": None, "fl_y": None},
    "EQUIRECTANGULAR": {"camera_model": "EQUIRECTANGULAR"},
    "latlong": {"latlong": True},
    "a size in pixels": {"w": 0, "h": 0},
}


@pytest.mark.parametrize("problem", BAD_LENSES)
def test_an_impossible_lens_is_named(tmp_path: Path, problem: str) -> None:
    folder = broken(tmp_path, lambda values: values.update(BAD_LENSES[problem]))
    refused(folder, "transforms.json", problem)


BAD_FILES: dict[str, Callable[[dict], object]] = {
    "no cameras": lambda values: values["frames"].clear(),
    "no list of frames": lambda values: values.pop("frames"),
    "frame 2 should be": lambda values: values["frames"].__setitem__(2, "view_2"),
    "no transform_matrix": lambda values: values["frames"][2].pop("transform_matrix"),
    "without a time": lambda values: [one.update(time=0.5) for one in values["frames"][1:]],
    "time of images/view_1": lambda values: values["frames"][1].update(time="noon"),
    "bounds should be": lambda values: values.update(
        neural_fields={"bounds": [[1, 1, 1], [0, 0, 0]]}
    ),
}


@pytest.mark.parametrize("problem", BAD_FILES)
def test_what_a_file_lacks_is_named(tmp_path: Path, problem: str) -> None:
    refused(broken(tmp_path, BAD_FILES[problem]), problem)


@pytest.mark.parametrize("content", [b"", b'{"frames": [', b"\xff\xfe\x00", b"[]", b"[" * 100000])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "transforms.json").write_bytes(content)
    refused(tmp_path, "transforms.json")


def test_json_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    text = json.dumps(transforms_values(2)).encode()
    write_small_capture(tmp_path)
    for end in range(0, len(text) - 1, 7):
        (tmp_path / "transforms.json").write_bytes(text[:end])
        refused(tmp_path, "transforms.json")


def test_a_path_without_a_capture_says_what_would_be_one(tmp_path: Path) -> None:
    assert "transforms.json" in refused(tmp_path, str(tmp_path)).remedy
    refused(tmp_path / "absent", "absent", "does not exist")
    write_picture(tmp_path / "images" / "photo.png")
    assert "COLMAP" in refused(tmp_path).remedy
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    refused(tmp_path / "notes.txt", "notes.txt")


def test_without_any_picture_the_first_missing_one_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "transforms.json", transforms_values())
    refused(tmp_path, "none of its 9 pictures", "images/view_0.png")


def test_missing_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    for index in (1, 2, 5, 6):
        (tmp_path / "images" / f"view_{index}.png").unlink()
    capture = load_capture(tmp_path)
    assert len(capture.views) == 5
    assert "4 views: images/view_1.png" in capture.warnings[0]
    assert "1 more" in capture.warnings[0]


def test_one_unreadable_picture_among_many_is_left_out_and_named(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    (tmp_path / "images" / "view_3.png").write_bytes(b"no picture at all")
    capture = load_capture(tmp_path)
    assert len(capture.views) == 8
    assert "images/view_3.png" in capture.warnings[0]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_picture_that_ends_too_early_is_found_when_it_is_loaded(
    tmp_path: Path, kept: float
) -> None:
    write_small_capture(tmp_path)
    picture = tmp_path / "images" / "view_3.png"
    picture.write_bytes(picture.read_bytes()[: int(kept * picture.stat().st_size)])
    capture = load_capture(tmp_path)
    assert len(capture.views) == 9
    loaded = load_images(capture)
    assert len(loaded.views) == 8
    assert "images/view_3.png" in loaded.warnings[0]
    expected = write_picture(tmp_path / "again.png", seed=4)
    np.testing.assert_array_equal(loaded.image(3), expected)


def test_pictures_that_are_all_unreadable_end_the_loading(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    for picture in (tmp_path / "images").iterdir():
        picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(JobError, match="none of the 9 pictures"):
        load_images(load_capture(tmp_path))
    for picture in (tmp_path / "images").iterdir():
        picture.write_bytes(b"")
    refused(tmp_path, "none of the 9 pictures")


def test_mixed_sizes_are_fine_but_another_shape_is_left_out(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    write_picture(tmp_path / "images" / "view_1.png", size=(48, 32))
    write_picture(tmp_path / "images" / "view_2.png", size=(16, 11))
    write_picture(tmp_path / "images" / "view_3.png", size=(16, 24))
    capture = load_capture(tmp_path)
    sizes = {view.name[-5]: view.intrinsics.width for view in capture.views}
    assert sizes == {"0": 24, "1": 48, "2": 16} | dict.fromkeys("45678", 24)
    assert "view_3.png (16×24, its camera 24×16)" in capture.warnings[0]
    assert len(load_images(capture).views) == 8


def test_pictures_that_all_have_another_shape_are_refused(tmp_path: Path) -> None:
    refused(broken(tmp_path, lambda values: values.update(w=24, h=24)), "24×16", "24×24")


def test_a_scale_in_the_poses_is_removed_and_said_so(tmp_path: Path) -> None:
    folder = broken(tmp_path, lambda values: scale_axes(values, 2.0, 2.0, 2.0))
    capture = load_capture(folder)
    rotation = capture.views[2].camera_to_world[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(capture.views[2].camera_to_world[:3, 3]), 4)
    assert "scale of 2 to 2" in capture.warnings[0]


def test_cameras_that_all_stand_at_one_point_are_refused(tmp_path: Path) -> None:
    def gather(values: dict) -> None:
        for frame in values["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] = 1.0

    refused(broken(tmp_path, gather), "9 cameras stand at one point")


def test_a_single_view_is_a_capture(tmp_path: Path) -> None:
    capture = load_capture(write_small_capture(tmp_path, transforms_values(1)))
    assert len(capture.split("train").views) == 1


def test_a_camera_path_of_unknown_size_is_refused(tmp_path: Path) -> None:
    values = transforms_values()
    del values["w"]
    with pytest.raises(JobError, match="size of camera"):
        load_cameras(write_json(tmp_path / "path.json", values))
    with pytest.raises(JobError, match="does not exist"):
        load_cameras(tmp_path / "absent.json")


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_capture(tmp_path)

    def denied(self: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", denied)
    refused(tmp_path, "transforms.json", "Permission denied")
