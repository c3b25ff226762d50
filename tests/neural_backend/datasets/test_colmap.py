# SPDX-License-Identifier: GPL-3.0-or-later
import struct
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.colmap import write_colmap
from neural_backend.datasets.loading import load_capture
from neural_backend.geometry.cameras import Intrinsics, project
from neural_backend.protocol.errors import JobError
from tests.neural_backend.datasets.small_captures import (
    HEIGHT,
    WIDTH,
    colmap_lines,
    write_picture,
    write_small_capture,
)

NAMES = ("a photo.png", "b.png", "Straße/c.png")
# Each camera turned about the vertical axis by an angle, at a position.
CAMERAS = (
    (0.0, np.array([0.0, 0.0, -5.0])),
    (0.5, np.array([2.0, 0.5, -4.0])),
    (-0.5, np.array([-2.0, -0.5, -4.0])),
)
PINHOLE = f"1 PINHOLE {WIDTH} {HEIGHT} 30 31 12 8"


def write_text_model(folder: Path, camera: str = PINHOLE) -> Path:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"# comment\n{camera}\n", encoding="utf-8")
    lines = "\n".join(["# comment", *colmap_lines(CAMERAS, NAMES)]) + "\n"
    (model / "images.txt").write_text(lines, encoding="utf-8")
    for index, name in enumerate(NAMES):
        write_picture(folder / "images" / name, alpha=False, seed=index)
    return model


def test_a_text_model_is_read_in_its_own_world_with_blenders_cameras(tmp_path: Path) -> None:
    """The first camera looks along +Z with Y down: in our axes, X right, −Y up, −Z backward."""
    write_text_model(tmp_path)
    capture = load_capture(tmp_path)
    assert [view.name for view in capture.views] == ["Straße/c.png", *NAMES[:2]]
    first = next(view for view in capture.views if view.name == NAMES[0])
    expected = np.diag([1.0, -1.0, -1.0, 1.0])
    expected[2, 3] = -5
    np.testing.assert_allclose(first.camera_to_world, expected, atol=1e-12)
    for view, (_, position) in zip(capture.views, (CAMERAS[2], *CAMERAS[:2]), strict=True):
        np.testing.assert_allclose(view.camera_to_world[:3, 3], position, atol=1e-12)
    assert capture.unbounded


MODELS = {
    "SIMPLE_PINHOLE 24 16 30 12 8": (30, 30, 12, 8, ()),
    "PINHOLE 24 16 30 31 12 8": (30, 31, 12, 8, ()),
    "SIMPLE_RADIAL 24 16 30 12 8 0.1": (30, 30, 12, 8, (0.1,)),
    "RADIAL 24 16 30 12 8 0.1 0.2": (30, 30, 12, 8, (0.1, 0.2)),
    "OPENCV 24 16 30 31 12 8 0.1 0.2 0.3 0.4": (30, 31, 12, 8, (0.1, 0.2, 0.3, 0.4)),
    "FULL_OPENCV 24 16 30 31 12 8 .1 .2 .3 .4 .5 .6 .7 .8": (
        *(30, 31, 12, 8),
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ),
    "OPENCV_FISHEYE 24 16 30 31 12 8 0.1 0.2 0.3 0.4": (30, 31, 12, 8, (0.1, 0.2, 0.3, 0.4)),
    "SIMPLE_RADIAL_FISHEYE 24 16 30 12 8 0.1": (30, 30, 12, 8, (0.1,)),
    "RADIAL_FISHEYE 24 16 30 12 8 0.1 0.2": (30, 30, 12, 8, (0.1, 0.2)),
}


@pytest.mark.parametrize("camera", MODELS)
def test_every_common_camera_model_is_read(tmp_path: Path, camera: str) -> None:
    write_text_model(tmp_path, f"1 {camera}")
    lens = load_capture(tmp_path).views[0].intrinsics
    *numbers, distortion = MODELS[camera]
    focal, center = (lens.focal_x_px, lens.focal_y_px), (lens.center_x_px, lens.center_y_px)
    assert [*focal, *center] == numbers
    assert lens.distortion == distortion
    assert lens.model == ("OPENCV_FISHEYE" if "FISHEYE" in camera else "OPENCV")


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("camera", MODELS)
def test_what_is_written_is_read_back(tmp_path: Path, camera: str, binary: bool) -> None:
    model = write_text_model(tmp_path, f"1 {camera}")
    before = load_capture(tmp_path).views
    for file in model.iterdir():
        file.unlink()
    write_colmap(before, [view.name for view in before], model, binary)
    after = load_capture(tmp_path).views
    for old, new in zip(before, after, strict=True):
        assert new.name == old.name
        assert new.intrinsics == old.intrinsics
        np.testing.assert_allclose(new.camera_to_world, old.camera_to_world, atol=1e-12)


def test_a_model_is_found_from_its_own_folder_or_file_too(tmp_path: Path) -> None:
    model = write_text_model(tmp_path)
    for path in (tmp_path / "sparse", model, model / "images.txt"):
        assert len(load_capture(path).views) == 3


def test_masks_beside_the_pictures_show_objects_and_colmaps_own_are_ignored(
    tmp_path: Path,
) -> None:
    write_text_model(tmp_path)
    mask = write_picture(tmp_path / "masks" / "b.png")
    assert mask.any()
    capture = load_capture(tmp_path)
    assert capture.mask_role == "object"
    assert not capture.unbounded
    (tmp_path / "masks" / "b.png").rename(tmp_path / "masks" / "b.png.png")
    capture = load_capture(tmp_path)
    assert capture.mask_role == "ignore"
    assert capture.unbounded


def binary_model(folder: Path) -> Path:
    model = write_text_model(folder)
    views = load_capture(folder).views
    for file in model.iterdir():
        file.unlink()
    write_colmap(views, [view.name for view in views], model, binary=True)
    return model


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_a_binary_model_cut_off_anywhere_is_refused_by_name(tmp_path: Path, name: str) -> None:
    file = binary_model(tmp_path) / name
    content = file.read_bytes()
    for end in range(len(content)):
        file.write_bytes(content[:end])
        with pytest.raises(JobError, match=name):
            load_capture(tmp_path)


def test_a_binary_model_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    file = binary_model(tmp_path) / "images.bin"
    file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])
    with pytest.raises(JobError, match=r"images\.bin is damaged"):
        load_capture(tmp_path)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (f"1 FOV {WIDTH} {HEIGHT} 30 30 12 8 0.5", "FOV"),
        (f"1 OPENCV {WIDTH} {HEIGHT} 30 30 12 8 0.5", "8 parameters, not 5"),
        (f"1 PINHOLE {WIDTH} {HEIGHT} -30 30 12 8", "-30"),
        (f"1 PINHOLE {WIDTH} {HEIGHT} nan 30 12 8", "nan"),
        (f"2 PINHOLE {WIDTH} {HEIGHT} 30 30 12 8", "has camera 1, which"),
        ("1 PINHOLE wide", "line 2"),
        ("1 PINHOLE 0 0 30 30 12 8", "0 × 0"),
    ],
)
def test_a_bad_camera_is_named(tmp_path: Path, camera: str, words: str) -> None:
    write_text_model(tmp_path, camera)
    with pytest.raises(JobError) as caught:
        load_capture(tmp_path)
    assert words in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("pose", ["nan 0 0 0 1 2 3", "0 0 0 0 1 2 3", "1 0 0 0 1 2 inf"])
def test_a_bad_pose_is_named(tmp_path: Path, pose: str) -> None:
    model = write_text_model(tmp_path)
    (model / "images.txt").write_text(f"1 {pose} 1 b.png\n\n", encoding="utf-8")
    with pytest.raises(JobError, match=r"images\.txt.*b\.png"):
        load_capture(tmp_path)


def test_a_model_without_images_or_cameras_is_refused(tmp_path: Path) -> None:
    model = write_text_model(tmp_path)
    (model / "images.txt").write_text("# nothing was registered\n", encoding="utf-8")
    with pytest.raises(JobError, match="no cameras"):
        load_capture(tmp_path)
    (model / "cameras.txt").unlink()
    with pytest.raises(JobError, match=r"cameras\.txt is missing"):
        load_capture(tmp_path)


def test_a_capture_with_transforms_json_is_read_from_that(tmp_path: Path) -> None:
    write_text_model(tmp_path)
    write_small_capture(tmp_path)
    assert len(load_capture(tmp_path).views) == 9


def test_solved_points_are_seen_where_they_were_found(shared_data: Path) -> None:
    """The model's own observations, in pixels of the full-sized pictures."""
    model = shared_data / "lund_door" / "sparse" / "0"
    lines = [
        line for line in (model / "images.txt").read_text().splitlines() if not line.startswith("#")
    ]
    points = {
        int(fields[0]): [float(value) for value in fields[1:4]]
        for fields in map(str.split, (model / "points3D.txt").read_text().splitlines())
        if fields[0] != "#"
    }
    views = {view.name: view for view in load_capture(shared_data / "lund_door").views}
    for header, observed in zip(lines[::8], lines[1::8], strict=True):
        view = views[header.split()[9]]
        numbers = np.array(observed.split(), dtype=np.float64).reshape(-1, 3)
        numbers = numbers[numbers[:, 2] >= 0]
        world = np.array([points[int(one)] for one in numbers[:, 2]])
        pose = view.camera_to_world
        seen = project(view.intrinsics, (world - pose[:3, 3]) @ pose[:3, :3])
        assert np.median(np.linalg.norm(2 * seen - numbers[:, :2], axis=1)) < 0.5


def test_the_same_capture_from_colmap_and_from_json_is_the_same(shared_data: Path) -> None:
    solved = load_capture(shared_data / "bonsai" / "sparse" / "0")
    written = load_capture(shared_data / "bonsai")
    assert len(solved.views) == len(written.views) == 98
    for one, other in zip(solved.views, written.views, strict=True):
        assert one.image is not None
        assert other.image is not None
        assert one.image.samefile(other.image)
        assert isinstance(one.intrinsics, Intrinsics)
        assert one.intrinsics == other.intrinsics
        assert one.split == other.split
        np.testing.assert_allclose(one.camera_to_world, other.camera_to_world, atol=1e-9)
