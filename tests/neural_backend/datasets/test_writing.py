# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.capture import Capture, View
from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.transforms_writing import write_transforms
from neural_backend.datasets.writing import DIALECTS, write_capture
from neural_backend.geometry.cameras import Intrinsics
from neural_backend.protocol.errors import JobError
from tests.neural_backend.datasets.small_captures import (
    HEIGHT,
    WIDTH,
    transforms_values,
    write_picture,
    write_small_capture,
)

JSON_DIALECTS = ("nerf_synthetic", "instant_ngp", "nerfstudio")
PINHOLE = Intrinsics(
    width=WIDTH, height=HEIGHT, focal_x_px=30, focal_y_px=30, center_x_px=12, center_y_px=8
)
LENSES = {
    "off center": replace(PINHOLE, focal_y_px=31.5, center_x_px=10.25),
    "distorted": replace(PINHOLE, distortion=(0.1, -0.2, 0.003, -0.004)),
    "rational": replace(PINHOLE, distortion=(0.1, 0.2, 0.0, 0.0, 0.3, 0.4, 0.5, 0.6)),
    "fisheye": replace(PINHOLE, model="OPENCV_FISHEYE", distortion=(0.1, 0.2, 0.3, 0.4)),
    "plain fisheye": replace(PINHOLE, model="OPENCV_FISHEYE"),
}


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    return load_capture(write_small_capture(tmp_path / "source"))


def stem(view: View) -> str:
    assert view.image is not None
    return view.image.stem


def assert_same_cameras(first: Capture, second: Capture) -> None:
    """The same pictures, seen by the same cameras, though under other names and in other order."""
    one = {stem(view): view for view in first.views}
    other = {stem(view): view for view in second.views}
    assert one.keys() == other.keys()
    for name, view in one.items():
        again = other[name]
        np.testing.assert_allclose(again.camera_to_world, view.camera_to_world, atol=1e-9)
        old, new = view.intrinsics, again.intrinsics
        assert (new.width, new.height, new.model) == (old.width, old.height, old.model)
        np.testing.assert_allclose(numbers(new), numbers(old), rtol=1e-9, atol=1e-9)
        assert new.distortion == old.distortion


def numbers(lens: Intrinsics) -> tuple[float, ...]:
    return lens.focal_x_px, lens.focal_y_px, lens.center_x_px, lens.center_y_px


@pytest.mark.parametrize("second", DIALECTS)
@pytest.mark.parametrize("first", DIALECTS)
def test_any_dialect_becomes_any_other_and_keeps_its_cameras_and_pictures(
    capture: Capture, tmp_path: Path, first: str, second: str
) -> None:
    write_capture(capture, tmp_path / "one", first)
    between = load_capture(tmp_path / "one")
    assert_same_cameras(capture, between)
    write_capture(between, tmp_path / "other", second)
    after = load_capture(tmp_path / "other")
    assert_same_cameras(capture, after)
    assert after.unbounded == capture.unbounded
    np.testing.assert_allclose(after.bounds, capture.bounds, atol=1e-6)
    loaded = load_images(after)
    for index, view in enumerate(loaded.views):
        expected = write_picture(tmp_path / "again.png", seed=int(stem(view)[-1]))
        np.testing.assert_array_equal(loaded.image(index), expected)


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one != "llff"])
@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())
def test_every_lens_comes_through(
    capture: Capture, tmp_path: Path, dialect: str, lens: Intrinsics
) -> None:
    views = [
        replace(view, intrinsics=lens if index % 2 else PINHOLE)
        for index, view in enumerate(capture.views)
    ]
    for number, changed in enumerate(
        (
            replace(capture, views=tuple(views)),
            replace(capture, views=tuple(replace(view, intrinsics=lens) for view in views)),
        )
    ):
        write_capture(changed, tmp_path / str(number), dialect)
        assert_same_cameras(changed, load_capture(tmp_path / str(number)))


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())
def test_llff_refuses_a_lens_that_it_cannot_hold_before_it_writes(
    capture: Capture, tmp_path: Path, lens: Intrinsics
) -> None:
    views = tuple(replace(view, intrinsics=lens) for view in capture.views)
    with pytest.raises(JobError, match="LLFF cannot hold the lens") as caught:
        write_capture(replace(capture, views=views), tmp_path / "out", "llff")
    assert "nerfstudio" in caught.value.remedy
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dialect", JSON_DIALECTS)
def test_splits_times_frames_and_bounds_come_through_json(
    capture: Capture, tmp_path: Path, dialect: str
) -> None:
    splits = ("train", "train", "val", "test", "train", "test", "train", "train", "train")
    views = tuple(
        replace(view, time=index / 8, frame=20 + index, split=split)
        for (index, view), split in zip(enumerate(capture.views), splits, strict=True)
    )
    bounds = np.array([[-1.0, -2.0, -3.0], [1.0, 2.0, 3.25]])
    changed = replace(capture, views=views, bounds=bounds, unbounded=True)
    assert not write_capture(changed, tmp_path / "out", dialect)
    after = load_capture(tmp_path / "out")
    assert {stem(view): (view.split, view.time, view.frame) for view in after.views} == {
        stem(view): (view.split, view.time, view.frame) for view in views
    }
    np.testing.assert_array_equal(after.bounds, bounds)
    assert after.unbounded


@pytest.mark.parametrize("dialect", ["colmap_text", "colmap_binary", "llff"])
def test_what_a_dialect_cannot_hold_is_said(capture: Capture, tmp_path: Path, dialect: str) -> None:
    views = tuple(replace(view, time=index / 8) for index, view in enumerate(capture.views))
    warnings = write_capture(replace(capture, views=views), tmp_path / "out", dialect)
    assert "times" in warnings[0]
    assert "split" in warnings[0]


@pytest.mark.parametrize("role", ["object", "ignore"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_masks_keep_their_pictures_and_their_meaning(
    tmp_path: Path, dialect: str, role: str
) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["mask_path"] = f"masks/view_{index}.png"
        write_picture(tmp_path / "source" / frame["mask_path"], seed=100 + index)
    values["neural_fields"] = {"mask_role": role}
    capture = load_capture(write_small_capture(tmp_path / "source", values, alpha=False))
    write_capture(capture, tmp_path / "out", dialect)
    after = load_capture(tmp_path / "out")
    before, again = load_images(capture), load_images(after)
    order = {stem(view): index for index, view in enumerate(before.views)}
    for index, view in enumerate(again.views):
        number = order[stem(view)]
        np.testing.assert_array_equal(
            again.image(index)[..., 3], before.image(number)[..., 3], err_msg=dialect
        )
        if role == "ignore":
            np.testing.assert_array_equal(again.ignore_mask(index), before.ignore_mask(number))
    assert (again.ignored is None) == (role == "object")


def test_other_readers_of_nerf_synthetic_find_what_they_look_for(
    capture: Capture, tmp_path: Path
) -> None:
    write_capture(capture, tmp_path / "out", "nerf_synthetic")
    values = json.loads((tmp_path / "out" / "transforms_train.json").read_text())
    assert values["camera_angle_x"] == pytest.approx(2 * math.atan(12 / 30))
    for frame in values["frames"]:
        assert (tmp_path / "out" / (frame["file_path"] + ".png")).is_file()
        assert frame["file_path"].startswith("./train/")


def test_pictures_of_one_name_in_several_folders_do_not_overwrite_each_other(
    tmp_path: Path,
) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["file_path"] = f"camera {index}/Bild.png"
    capture = load_capture(write_small_capture(tmp_path / "source", values))
    for dialect in DIALECTS:
        write_capture(capture, tmp_path / dialect, dialect)
        loaded = load_images(load_capture(tmp_path / dialect))
        assert len({view.image for view in loaded.views}) == 9
        pictures = {loaded.image(index).tobytes() for index in range(9)}
        assert len(pictures) == 9


def test_an_unreadable_picture_that_must_be_converted_is_left_out(
    capture: Capture, tmp_path: Path
) -> None:
    picture = tmp_path / "source" / "images" / "view_3.png"
    picture.rename(picture.with_suffix(".jpg")).write_bytes(b"no picture")
    views = [
        replace(view, image=picture.with_suffix(".jpg")) if stem(view) == "view_3" else view
        for view in capture.views
    ]
    broken = replace(capture, views=tuple(views))
    warnings = write_capture(broken, tmp_path / "out", "nerf_synthetic")
    assert "view_3" in warnings[0]
    assert len(load_capture(tmp_path / "out").views) == 8


def test_a_folder_that_holds_something_is_refused_and_left_alone(
    capture: Capture, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep me", encoding="utf-8")
    for target in (tmp_path / "out", tmp_path / "out" / "precious.txt"):
        with pytest.raises(JobError, match="not empty"):
            write_capture(capture, target, "nerfstudio")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]
    (tmp_path / "empty").mkdir()
    write_capture(capture, tmp_path / "empty", "nerfstudio")


def test_an_unknown_dialect_is_refused(capture: Capture, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="klingon") as caught:
        write_capture(capture, tmp_path / "out", "klingon")
    assert "nerfstudio" in caught.value.remedy


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "was not written"),
        (errno.EACCES, "Permission"),
    ],
)
def test_a_disk_that_fails_half_way_leaves_nothing_behind(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    copied = []
    really_copy = shutil.copyfile

    def failing(source: Path, target: Path) -> None:
        if len(copied) == 4:
            raise OSError(number, os.strerror(number), str(target))
        copied.append(really_copy(source, target))

    monkeypatch.setattr(shutil, "copyfile", failing)
    with pytest.raises(JobError, match=words) as caught:
        write_capture(capture, tmp_path / "out", "nerfstudio")
    assert caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_writing_that_is_stopped_leaves_nothing_behind(capture: Capture, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_capture(capture, tmp_path / "out", "colmap_text", on_progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_cameras_can_be_kept_elsewhere_while_the_pictures_stay(
    capture: Capture, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    write_transforms(capture, tmp_path / "run" / "capture.json")
    after = load_capture(tmp_path / "run" / "capture.json")
    assert_same_cameras(capture, after)
    assert [view.image for view in after.views] == [view.image for view in capture.views]
    assert [view.split for view in after.views] == [view.split for view in capture.views]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["fern", "ethiopian_head", "kaykit_knight_dyn_200"])
def test_real_captures_are_converted(
    shared_data: Path, tmp_path: Path, name: str, dialect: str
) -> None:
    capture = load_capture(shared_data / name)
    some = replace(capture, views=capture.views[::7])
    write_capture(some, tmp_path / "out", dialect)
    after = load_capture(tmp_path / "out")
    if len({stem(view) for view in some.views}) == len(some.views):
        assert_same_cameras(some, after)
    assert len(after.views) == len(some.views)
    assert after.unbounded == some.unbounded


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one != "llff"])
@pytest.mark.parametrize("name", ["fox", "bonsai", "lund_door"])
def test_real_photos_with_distortion_are_converted(
    shared_data: Path, tmp_path: Path, name: str, dialect: str
) -> None:
    capture = load_capture(shared_data / name)
    some = replace(capture, views=capture.views[::10])
    if dialect == "nerf_synthetic":
        some = replace(some, views=some.views[:2])
    write_capture(some, tmp_path / "out", dialect)
    assert_same_cameras(some, load_capture(tmp_path / "out"))
