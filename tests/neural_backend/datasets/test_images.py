# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.datasets.images import load_images, read_picture, reduce_image
from neural_backend.datasets.loading import load_capture
from tests.neural_backend.datasets.small_captures import (
    HEIGHT,
    WIDTH,
    transforms_values,
    write_picture,
    write_small_capture,
)


def slowly_reduced(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Area means, premultiplied, one pixel after the other; float results."""
    old_height, old_width = image.shape[:2]
    result = np.zeros((height, width, 4))
    for row in range(height):
        for column in range(width):
            top, bottom = row * old_height / height, (row + 1) * old_height / height
            left, right = column * old_width / width, (column + 1) * old_width / width
            color, alpha, area = np.zeros(3), 0.0, 0.0
            for y in range(int(top), int(np.ceil(bottom))):
                for x in range(int(left), int(np.ceil(right))):
                    share = (min(bottom, y + 1) - max(top, y)) * (min(right, x + 1) - max(left, x))
                    color += share * image[y, x, :3] * (image[y, x, 3] / 255)
                    alpha += share * image[y, x, 3] / 255
                    area += share
            result[row, column, 3] = 255 * alpha / area
            result[row, column, :3] = color / alpha if alpha > 0 else 0
    return result


@pytest.mark.parametrize("size", [(6, 4), (5, 3), (11, 7), (24, 8), (23, 15), (1, 1)])
@pytest.mark.parametrize("opaque", [True, False])
def test_reducing_takes_the_mean_of_the_area_that_each_pixel_covers(
    size: tuple[int, int], opaque: bool
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    image[:, :10, 3] = 0
    if opaque:
        image[..., 3] = 255
    reduced = reduce_image(image, *size).astype(np.float64)
    expected = slowly_reduced(image, *size)
    np.testing.assert_allclose(reduced[..., 3], expected[..., 3], atol=0.51)
    shown = expected[..., 3] > 1
    np.testing.assert_allclose(reduced[shown], expected[shown], atol=0.51)


def test_transparent_pixels_do_not_bleed_their_color() -> None:
    image = np.zeros((2, 2, 4), dtype=np.uint8)
    image[0, 0] = (200, 100, 50, 255)
    image[1, 1] = (255, 255, 255, 0)
    np.testing.assert_array_equal(reduce_image(image, 1, 1)[0, 0], (200, 100, 50, 64))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGBA", (10, 20, 30, 40), (10, 20, 30, 40)),
        ("RGB", (10, 20, 30), (10, 20, 30, 255)),
        ("L", 77, (77, 77, 77, 255)),
        ("LA", (77, 128), (77, 77, 77, 128)),
        ("1", 1, (255, 255, 255, 255)),
        ("I;16", 0x8080, (128, 128, 128, 255)),
    ],
)
def test_every_kind_of_png_becomes_rgba(tmp_path: Path, mode: str, value, expected: tuple) -> None:
    Image.new(mode, (3, 2), value).save(tmp_path / "picture.png")
    image = read_picture(tmp_path / "picture.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.tile(np.uint8(expected), (2, 3, 1)))


def test_a_palette_with_a_transparent_color_becomes_rgba(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([0, 1])
    picture.save(tmp_path / "picture.png", transparency=1)
    image = read_picture(tmp_path / "picture.png")
    np.testing.assert_array_equal(image[0, 0], (10, 20, 30, 255))
    assert image[0, 1, 3] == 0


def test_deep_and_float_pictures_keep_their_levels(tmp_path: Path) -> None:
    levels = np.linspace(0, 1, 8, dtype=np.float32)[None]
    Image.fromarray(levels).save(tmp_path / "float.tif")
    expected = (levels[0] * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(read_picture(tmp_path / "float.tif")[0, :, 1], expected)


def test_a_smaller_width_scales_the_lens_with_the_picture(tmp_path: Path) -> None:
    capture = load_capture(write_small_capture(tmp_path))
    loaded = load_images(capture, image_width=7)
    lens = loaded.views[0].intrinsics
    assert (lens.width, lens.height) == (7, 5)
    assert lens.focal_x_px == pytest.approx(30 * 7 / 24)
    assert lens.focal_y_px == pytest.approx(30 * 5 / 16)
    assert lens.center_x_px == pytest.approx(3.5)
    assert loaded.image(3).shape == (5, 7, 4)
    unchanged = load_images(capture, image_width=100)
    assert unchanged.views == capture.views


def test_views_lie_one_after_the_other_whatever_their_sizes(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    expected = write_picture(tmp_path / "images" / "view_1.png", size=(48, 32), seed=5)
    loaded = load_images(load_capture(tmp_path))
    assert loaded.offsets[1] == WIDTH * HEIGHT
    assert loaded.offsets[2] == WIDTH * HEIGHT + 48 * 32
    assert len(loaded.pixels) == loaded.offsets[-1]
    np.testing.assert_array_equal(loaded.image(1), expected)
    last = write_picture(tmp_path / "again.png", seed=8)
    np.testing.assert_array_equal(loaded.image(8), last)


def test_an_objects_mask_cuts_it_out_of_photo_and_alpha_alike(tmp_path: Path) -> None:
    write_small_capture(tmp_path)
    for index in range(9):
        mask = np.zeros((2 * HEIGHT, 2 * WIDTH), dtype=np.uint8)
        mask[:, : 2 * WIDTH - 8] = 255
        folder = tmp_path / "masks"
        folder.mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / f"view_{index}.png")
    alpha = load_images(load_capture(tmp_path)).image(0)[..., 3]
    assert (alpha[:, : WIDTH // 3] == 0).all()
    assert (alpha[:, WIDTH // 3 : WIDTH - 4] == 255).all()
    assert (alpha[:, WIDTH - 4 :] == 0).all()


def test_what_is_ignored_stays_so_when_reduced_even_in_part(tmp_path: Path) -> None:
    values = transforms_values()
    for index, frame in enumerate(values["frames"]):
        frame["mask_path"] = f"masks/view_{index}.png"
        mask = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
        mask[0, 0] = 0 if index == 2 else 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / frame["mask_path"])
    loaded = load_images(load_capture(write_small_capture(tmp_path, values)), image_width=12)
    for index in range(9):
        hidden = loaded.ignore_mask(index)
        assert hidden is not None
        assert hidden.sum() == (1 if index == 2 else 0)


def test_progress_is_told_for_each_picture_and_may_end_the_loading(tmp_path: Path) -> None:
    capture = load_capture(write_small_capture(tmp_path))
    told = []
    load_images(capture, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(index, 9) for index in range(1, 10)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(capture, on_progress=stop)


def test_reduced_pictures_equal_those_the_data_set_gives(shared_data: Path) -> None:
    """lego_100_tiny.npz holds the same pictures, reduced from the originals in one step."""
    given = np.load(shared_data / "lego_100_tiny.npz", allow_pickle=False)
    capture = load_capture(shared_data / "lego_400")
    loaded = load_images(capture.select(lambda view: view.name == "train/r_0"), image_width=100)
    images = next(given[name] for name in given.files if given[name].shape[1:] == (100, 100, 4))
    expected = images[0].astype(np.float64)
    if images.dtype != np.uint8:
        expected = expected * 255
    ours = loaded.image(0).astype(np.float64)
    shown = expected[..., 3] > 64
    assert np.abs(ours[..., 3] - expected[..., 3]).max() < 3
    assert np.abs(ours[shown] - expected[shown]).max() < 8
