# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.writing import write_capture
from neural_backend.protocol.errors import JobError
from tests.neural_backend.datasets.small_captures import HEIGHT, WIDTH, write_picture


def rows(count: int = 4) -> np.ndarray:
    """Cameras side by side along X that look along −Z: down, right and backward are −Y, X and Z."""
    matrix = np.zeros((count, 3, 5))
    matrix[:, 1, 0] = -1
    matrix[:, 0, 1] = 1
    matrix[:, 2, 2] = 1
    matrix[:, 0, 3] = np.arange(count)
    matrix[:, :, 4] = (8 * HEIGHT, 8 * WIDTH, 8 * 30.0)
    return np.concatenate([matrix.reshape(count, 15), np.tile([2.0, 10.0], (count, 1))], axis=1)


def write_llff_capture(folder: Path, values: np.ndarray, num_pictures: int = 4) -> Path:
    for index in range(num_pictures):
        write_picture(folder / "images_8" / f"photo {index}.png", alpha=False, seed=index)
    np.save(folder / "poses_bounds.npy", values)
    return folder


def test_columns_become_blenders_axes_and_the_lens_fits_the_pictures(tmp_path: Path) -> None:
    folder = write_llff_capture(tmp_path, rows())
    for path in (folder, folder / "poses_bounds.npy"):
        capture = load_capture(path)
        for index, view in enumerate(capture.views):
            expected = np.eye(4)
            expected[0, 3] = index
            np.testing.assert_allclose(view.camera_to_world, expected, atol=1e-12)
            lens = view.intrinsics
            assert (lens.width, lens.height, lens.focal_x_px) == (WIDTH, HEIGHT, 30)
            assert view.image == tmp_path / "images_8" / f"photo {index}.png"
        assert capture.unbounded
        np.testing.assert_allclose(capture.bounds[:, 2], (-6, -2))
        assert "192×128 to 24×16" in capture.warnings[0]


def test_the_depths_of_photos_that_are_written_give_the_same_box_again(tmp_path: Path) -> None:
    capture = load_capture(write_llff_capture(tmp_path / "source", rows()))
    write_capture(capture, tmp_path / "out", "llff")
    again = load_capture(tmp_path / "out")
    np.testing.assert_allclose(again.bounds, capture.bounds, atol=1e-6)


def test_pictures_that_are_not_as_many_as_the_poses_are_refused(tmp_path: Path) -> None:
    write_llff_capture(tmp_path, rows(), num_pictures=3)
    with pytest.raises(JobError, match=r"has 4 cameras.*3 in images_8"):
        load_capture(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values[:, :15], "rows of 17"),
        (lambda values: values[:0], "no cameras"),
        (lambda values: values * np.nan, "photo 0.png holds NaN"),
        (lambda values: values * ([*[1] * 14, -1, 1, 1]), "-240"),
        (lambda values: values * ([*[1] * 4, 0, *[1] * 12]), "0.0 pixels|0.0 px"),
        (lambda values: values * ([*[1] * 3, 0, *[1] * 13]), "one point"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change, words: str) -> None:
    write_llff_capture(tmp_path, change(rows()))
    with pytest.raises(JobError, match=words):
        load_capture(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_llff_capture(tmp_path, rows())
    file = tmp_path / "poses_bounds.npy"
    content = file.read_bytes()
    for end in (0, 5, 60, 128, len(content) - 1):
        file.write_bytes(content[:end])
        with pytest.raises(JobError, match=r"poses_bounds\.npy is damaged"):
            load_capture(tmp_path)


def test_real_forward_facing_photos_are_read(shared_data: Path) -> None:
    capture = load_capture(shared_data / "fern")
    assert len(capture.views) == 20
    assert len(capture.split("test").views) == 3
    assert capture.views[0].intrinsics.focal_x_px == pytest.approx(3260.526 / 8, abs=0.01)
    forward = -np.array([view.camera_to_world[:3, 2] for view in capture.views])
    assert np.linalg.norm(forward.mean(axis=0)) > 0.99


def test_real_photos_with_masks_show_one_object_in_front_of_nothing(shared_data: Path) -> None:
    capture = load_capture(shared_data / "ethiopian_head")
    assert len(capture.views) == 66
    assert capture.mask_role == "object"
    assert not capture.unbounded
    some = capture.select(lambda view: view.name.endswith("0.jpg"))
    loaded = load_images(some, image_width=100)
    for index in range(len(loaded.views)):
        opaque = (loaded.image(index)[..., 3] > 127).mean()
        assert 0.05 < opaque < 0.6
