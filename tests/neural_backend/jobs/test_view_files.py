# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from neural_backend.jobs import view_files
from neural_backend.jobs.view_files import (
    picture_size,
    read_exr,
    whole_file,
    write_depth,
    write_exr,
    write_exr_channels,
    write_png,
    write_video,
)


@pytest.fixture
def rgba() -> np.ndarray:
    return np.random.default_rng(0).random((7, 5, 4)).astype(np.float32)


def decoded_by_ffmpeg(path: Path, pixels: str, kind: str) -> np.ndarray:
    """An independent reader."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", pixels, "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, kind)


def test_a_png_of_8_bits_holds_straight_alpha(tmp_path: Path, rgba: np.ndarray) -> None:
    write_png(tmp_path / "a.png", rgba, 8)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(image), np.round(rgba * 255))


def test_a_png_of_16_bits_keeps_them_all(tmp_path: Path, rgba: np.ndarray) -> None:
    write_png(tmp_path / "a.png", rgba, 16)
    stored = decoded_by_ffmpeg(tmp_path / "a.png", "rgba64le", "<u2").reshape(7, 5, 4)
    np.testing.assert_array_equal(stored, np.round(rgba * 65535))
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_allclose(np.asarray(image) / 255, rgba, atol=1 / 255)


def test_an_exr_is_linear_and_premultiplied(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", np.full((2, 3, 4), 0.5))
    stored = read_exr(tmp_path / "a.exr")["RGBA"]
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored[0, 0], [0.10702] * 3 + [0.5], atol=1e-5)


def test_channels_of_an_exr_come_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(6, 4, 3)).astype(np.float32) * 1e6
    write_exr_channels(tmp_path / "a.exr", {"RGB": values})
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr")["RGB"], values)


def test_depth_is_metric_and_far_where_there_is_none(tmp_path: Path) -> None:
    depth = np.array([[1.25, np.inf], [1e-3, 70000.125]], dtype=np.float32)
    write_depth(tmp_path / "d.exr", depth)
    stored = read_exr(tmp_path / "d.exr")["Y"]
    np.testing.assert_array_equal(stored, [[1.25, 1e10], [np.float32(1e-3), 70000.125]])


def test_sizes_are_read_and_broken_files_have_none(tmp_path: Path, rgba: np.ndarray) -> None:
    write_png(tmp_path / "a.png", rgba, 16)
    write_exr(tmp_path / "a.exr", rgba)
    assert picture_size(tmp_path / "a.png") == picture_size(tmp_path / "a.exr") == (5, 7)
    for name in ("b.png", "b.exr"):
        (tmp_path / name).write_bytes(b"not a picture")
        assert picture_size(tmp_path / name) is None
    assert picture_size(tmp_path / "absent.png") is None


@pytest.mark.parametrize("ending", ["png", "exr"])
def test_a_video_shows_the_pictures_even_of_odd_sizes(tmp_path: Path, ending: str) -> None:
    pictures = []
    for index, gray in enumerate((0.2, 0.8, 0.5)):
        pictures.append(tmp_path / f"{index}.{ending}")
        rgba = np.full((33, 51, 4), gray, dtype=np.float32)
        rgba[..., 3] = 1.0 if index < 2 else 0.0
        (write_png if ending == "png" else write_exr)(pictures[-1], rgba)
    video = tmp_path / "ä b.mp4"
    assert list(write_video(video, pictures, fps=10)) == [1, 2, 3]
    frames = decoded_by_ffmpeg(video, "gray", "u1").reshape(3, 34, 52)
    means = frames[:, 8:-8, 8:-8].mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(means, [0.2, 0.8, 1.0], atol=0.03)


def test_a_video_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    pictures = [tmp_path / f"{index}.png" for index in range(4)]
    for picture in pictures:
        write_png(picture, np.ones((16, 16, 4)))
    steps = write_video(tmp_path / "v.mp4", pictures, fps=24)
    next(steps)
    steps.close()
    assert sorted(tmp_path.iterdir()) == pictures


def test_a_video_of_mixed_sizes_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.ones((16, 16, 4)))
    write_png(tmp_path / "b.png", np.ones((18, 16, 4)))
    with pytest.raises(ValueError, match=r"16 × 16, got b\.png"):
        list(write_video(tmp_path / "v.mp4", [tmp_path / "a.png", tmp_path / "b.png"], 24))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fill_the_disk() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_other_depths_of_color_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 or 16"):
        write_png(tmp_path / "a.png", np.ones((2, 2, 4)), 12)
    assert view_files.NO_DEPTH > 1e9
