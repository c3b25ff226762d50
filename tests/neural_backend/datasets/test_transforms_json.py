# SPDX-License-Identifier: GPL-3.0-or-later
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_cameras, load_capture
from tests.neural_backend.datasets.small_captures import (
    HEIGHT,
    WIDTH,
    ring_of_poses,
    transforms_values,
    write_json,
    write_picture,
    write_small_capture,
)


def test_instant_ngp_values_are_read_as_they_are(tmp_path: Path) -> None:
    values = transforms_values()
    values |= {"fl_y": 31.0, "cx": 11.0, "k1": 0.01, "k2": -0.02, "p1": 0.003, "p2": 0.004}
    values |= {"aabb_scale": 4, "scale": 0.33, "offset": [0.5, 0.5, 0.5]}
    capture = load_capture(write_small_capture(tmp_path, values))
    lens = capture.views[3].intrinsics
    assert (lens.width, lens.height) == (WIDTH, HEIGHT)
    assert (lens.focal_x_px, lens.focal_y_px) == (30, 31)
    assert (lens.center_x_px, lens.center_y_px) == (11, 8)
    assert lens.model == "OPENCV"
    assert lens.distortion == (0.01, -0.02, 0.003, 0.004)
    for view, pose in zip(capture.views, ring_of_poses(9), strict=True):
        np.testing.assert_allclose(view.camera_to_world, pose, atol=1e-12)
    assert not capture.unbounded
    assert not capture.warnings


def test_nerf_synthetic_knows_only_an_angle_and_three_files(tmp_path: Path) -> None:
    poses = ring_of_poses(9)
    for split, indices in {"train": range(6), "val": [6], "test": [7, 8]}.items():
        frames = []
        for index in indices:
            write_picture(tmp_path / split / f"r_{index}.png", size=(20, 20))
            matrix = poses[index].tolist()
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": matrix})
        values = {"camera_angle_x": math.radians(40), "frames": frames}
        write_json(tmp_path / f"transforms_{split}.json", values)
    for path in (tmp_path, tmp_path / "transforms_train.json"):
        capture = load_capture(path)
        splits = [len(capture.split(name).views) for name in ("train", "val", "test")]
        assert splits == [6, 1, 2]
        lens = capture.views[0].intrinsics
        assert lens.focal_x_px == pytest.approx(10 / math.tan(math.radians(20)))
        assert lens.focal_y_px == lens.focal_x_px
        assert (lens.center_x_px, lens.center_y_px) == (10, 10)
    assert len(load_cameras(tmp_path / "transforms_test.json")) == 2


def test_each_frame_may_have_its_own_lens(tmp_path: Path) -> None:
    values = transforms_values()
    values["frames"][4] |= {"fl_x": 50.0, "fl_y": 50.0, "cx": 3.0, "k1": 0.5}
    values["frames"][5] |= {"w": 48, "h": 32, "fl_x": 60.0, "fl_y": 60.0, "cx": 24.0, "cy": 16.0}
    capture = load_capture(write_small_capture(tmp_path, values))
    assert capture.views[3].intrinsics.focal_x_px == 30
    assert capture.views[4].intrinsics.focal_x_px == 50
    assert capture.views[4].intrinsics.distortion == (0.5,)
    # Its picture is half as large as its camera says.
    assert capture.views[5].intrinsics == capture.views[3].intrinsics


@pytest.mark.parametrize(
    "says", [{"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}], ids=["ngp", "nerfstudio"]
)
def test_a_fisheye_has_four_radial_coefficients(tmp_path: Path, says: dict) -> None:
    values = transforms_values() | says | {"k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4, "p1": 9.0}
    lens = load_capture(write_small_capture(tmp_path, values)).views[0].intrinsics
    assert lens.model == "OPENCV_FISHEYE"
    assert lens.distortion == (0.1, 0.2, 0.3, 0.4)


def test_a_pinhole_has_no_distortion_whatever_else_is_said(tmp_path: Path) -> None:
    values = transforms_values() | {"camera_model": "PINHOLE", "k1": 0.1}
    lens = load_capture(write_small_capture(tmp_path, values)).views[0].intrinsics
    assert not lens.is_distorted


def test_nerfstudio_poses_stay_where_applied_transform_put_them(tmp_path: Path) -> None:
    turned = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
    values = transforms_values() | {"applied_transform": turned, "camera_model": "OPENCV"}
    capture = load_capture(write_small_capture(tmp_path, values))
    np.testing.assert_allclose(capture.views[2].camera_to_world, ring_of_poses(9)[2], atol=1e-12)


def test_nerfstudio_lists_of_files_are_the_splits(tmp_path: Path) -> None:
    values = transforms_values()
    names = [frame["file_path"] for frame in values["frames"]]
    values |= {"train_filenames": names[:5], "val_filenames": names[5:7]}
    values["test_filenames"] = ["./" + name for name in names[7:]]
    capture = load_capture(write_small_capture(tmp_path, values))
    assert [view.split for view in capture.views] == ["train"] * 5 + ["val"] * 2 + ["test"] * 2


def test_nerfstudio_masks_say_what_to_ignore(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["mask_path"] = f"masks/view_{index}.png"
        write_picture(tmp_path / frame["mask_path"])
    capture = load_capture(write_small_capture(tmp_path, values, alpha=False))
    assert capture.mask_role == "ignore"
    assert capture.unbounded
    loaded = load_images(capture)
    hidden = loaded.ignore_mask(0)
    assert hidden is not None
    assert hidden[:, : WIDTH // 3].all()
    assert (loaded.image(0)[..., 3] == 255).all()


def test_times_are_read(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["time"] = index / 8
    capture = load_capture(write_small_capture(tmp_path, values))
    assert capture.is_dynamic
    assert [view.time for view in capture.views] == [index / 8 for index in range(9)]
    assert not capture.warnings


def test_times_outside_0_to_1_are_mapped_and_said_so(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["time"] = 100 + 10 * index
    capture = load_capture(write_small_capture(tmp_path, values))
    assert [view.time for view in capture.views] == [index / 8 for index in range(9)]
    assert "100 to 180" in capture.warnings[0]


def test_our_own_block_is_taken_at_its_word(tmp_path: Path) -> None:
    values = transforms_values()
    box = [[-1.0, -2.0, -3.0], [1.0, 2.0, 3.5]]
    values["neural_fields"] = {"version": 1, "bounds": box, "unbounded": True}
    for index, frame in enumerate(values["frames"]):
        frame |= {"frame": 10 + index, "split": "test" if index == 4 else "train"}
    capture = load_capture(write_small_capture(tmp_path, values))
    assert capture.bounds.tolist() == box
    assert capture.unbounded
    assert [view.frame for view in capture.views] == list(range(10, 19))
    assert [view.name for view in capture.split("test").views] == ["images/view_4.png"]


@pytest.mark.parametrize(
    "written",
    [
        "images/view_{}",
        "./images/view_{}.png",
        "images\\view_{}.png",
        "/home/someone/else/images/view_{}.png",
        "view_{}.jpg",
    ],
)
def test_pictures_are_found_however_their_names_are_written(tmp_path: Path, written: str) -> None:
    write_small_capture(tmp_path)
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["file_path"] = written.format(index)
    write_json(tmp_path / "transforms.json", values)
    capture = load_capture(tmp_path)
    assert [view.image for view in capture.views] == [
        tmp_path / "images" / f"view_{index}.png" for index in range(9)
    ]


def test_nested_non_ascii_and_spaced_names_are_names_like_any_other(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["file_path"] = f"Bilder für mich/日本 {index}/Ansicht.png"
    folder = write_small_capture(tmp_path / "ein Ordner – ключ", values)
    capture = load_capture(folder)
    assert len({view.image for view in capture.views}) == 9
    assert len(load_images(capture).views) == 9


def test_a_capture_is_held_out_by_name_only_where_it_has_no_test_split(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    held_out = load_capture(tmp_path, hold_out=4).split("test")
    assert [Path(view.name).stem for view in held_out.views] == ["view_0", "view_4", "view_8"]
    assert not load_capture(tmp_path, hold_out=0).split("test").views


def test_a_camera_path_needs_no_pictures(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame.pop("file_path")
        frame["frame"] = 5 + index
    views = load_cameras(write_json(tmp_path / "path.json", values))
    assert [view.frame for view in views] == list(range(5, 14))
    assert all(view.image is None for view in views)
    assert len({view.name for view in views}) == 9


def test_a_small_scale_from_rounding_is_removed_in_silence(tmp_path: Path) -> None:
    values = transforms_values()
    for frame in values["frames"]:
        matrix = np.array(frame["transform_matrix"])
        matrix[:3, :3] += np.random.default_rng(0).uniform(-1e-5, 1e-5, (3, 3))
        frame["transform_matrix"] = matrix.tolist()
    capture = load_capture(write_small_capture(tmp_path, values))
    assert not capture.warnings
    for view in capture.views:
        rotation = view.camera_to_world[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_an_alpha_that_hides_nothing_does_not_make_an_object(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    assert not load_capture(tmp_path).unbounded
    for index in range(9):
        path = tmp_path / "images" / f"view_{index}.png"
        Image.new("RGBA", (WIDTH, HEIGHT), (10, 20, 30, 255)).save(path)
    assert load_capture(tmp_path).unbounded
