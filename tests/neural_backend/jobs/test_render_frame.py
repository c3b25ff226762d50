# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.geometry.colors import srgb_to_linear
from neural_backend.jobs import render_frame, start
from neural_backend.jobs.view_files import NO_DEPTH, read_exr
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import FrameReady, Progress, RenderFrame, RenderViews
from neural_backend.rendering.image import RenderedImage
from tests.analytic_run import lens, looking_at_origin, make_run, write_cameras

POSE = looking_at_origin((3.0, 0.4, 1.0))
SIZE = (40, 30)


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("frames"), scene="two_spheres").path


def frame_job(run_path: Path, output: Path, **options) -> RenderFrame:
    one = lens(*SIZE)
    values = {
        "width": one.width,
        "height": one.height,
        "focal_x_px": one.focal_x_px,
        "focal_y_px": one.focal_y_px,
        "center_x_px": one.center_x_px,
        "center_y_px": one.center_y_px,
        "camera_to_world": tuple(POSE.ravel().tolist()),
    }
    return RenderFrame(run=str(run_path), output=str(output), **values | options)


def rendered(run_path: Path, tmp_path: Path, **options) -> np.ndarray:
    output = tmp_path / "frame.npy"
    ready = list(start(frame_job(run_path, output, **options)))[-1]
    assert isinstance(ready, FrameReady)
    pixels = np.load(output, allow_pickle=False)
    assert pixels.dtype == np.float32
    assert pixels.shape == (ready.height, ready.width, 5)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == ["frame.npy"]
    return pixels


def test_a_frame_is_the_view_that_files_show(run_path: Path, tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    cameras = write_cameras(tmp_path / "camera.json", [POSE], SIZE)
    job = RenderViews(
        run=str(run_path), cameras=str(cameras), output=str(tmp_path / "views"), format="exr",
        depth=True,
    )  # fmt: skip
    list(start(job))
    frame = rendered(run_path, tmp_path / "views" / "raw")
    picture = read_exr(tmp_path / "views" / "view_0001.exr")["RGBA"]
    np.testing.assert_allclose(frame[..., :4], picture, atol=1e-6)
    depth = read_exr(tmp_path / "views" / "depth_0001.exr")["Y"]
    np.testing.assert_array_equal(frame[..., 4], depth)
    assert frame[15, 20, 3] == 1
    assert frame[0, 0].tolist() == [0, 0, 0, 0, np.float32(NO_DEPTH)]


def test_a_region_is_cut_out_of_the_whole(run_path: Path, tmp_path: Path) -> None:
    whole = rendered(run_path, tmp_path)
    part = rendered(run_path, tmp_path, region=(11, 3, 33, 21))
    np.testing.assert_allclose(part, whole[3:21, 11:33], atol=1e-5)


def test_strips_join_without_a_seam(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rendered(run_path, tmp_path)
    smooth = rendered(run_path, tmp_path, samples=2)
    monkeypatch.setattr(render_frame, "_STRIP_RAYS", 7 * 40)
    np.testing.assert_allclose(rendered(run_path, tmp_path), whole, atol=1e-5)
    np.testing.assert_allclose(rendered(run_path, tmp_path, samples=2), smooth, atol=1e-5)


@pytest.mark.parametrize("reduction", [2, 3, 7, 64])
def test_a_reduced_frame_shows_the_same_in_fewer_pixels(
    run_path: Path, tmp_path: Path, reduction: int
) -> None:
    width, height = -(-SIZE[0] // reduction), -(-SIZE[1] // reduction)
    reduced = rendered(run_path, tmp_path, reduction=reduction)
    assert reduced.shape == (height, width, 5)
    one = lens(*SIZE).resized(width, height)
    explicit = rendered(
        run_path,
        tmp_path,
        width=width,
        height=height,
        focal_x_px=one.focal_x_px,
        focal_y_px=one.focal_y_px,
        center_x_px=one.center_x_px,
        center_y_px=one.center_y_px,
    )
    np.testing.assert_array_equal(reduced, explicit)


def test_samples_average_light_and_keep_depth_of_what_is_seen(
    run_path: Path, tmp_path: Path
) -> None:
    fine_lens = lens(*SIZE).resized(3 * SIZE[0], 3 * SIZE[1])
    fine = rendered(
        run_path,
        tmp_path,
        width=fine_lens.width,
        height=fine_lens.height,
        focal_x_px=fine_lens.focal_x_px,
        focal_y_px=fine_lens.focal_y_px,
        center_x_px=fine_lens.center_x_px,
        center_y_px=fine_lens.center_y_px,
    )
    smooth = rendered(run_path, tmp_path, samples=3)
    assert ((smooth[..., 3] > 0) & (smooth[..., 3] < 1)).sum() > 20
    for row, column in np.ndindex(SIZE[1], SIZE[0]):
        block = fine[3 * row : 3 * row + 3, 3 * column : 3 * column + 3].reshape(9, 5)
        np.testing.assert_allclose(smooth[row, column, :4], block[:, :4].mean(0), atol=1e-5)
        seen = block[:, 3] > 0
        depth = block[seen, 4].mean() if seen.any() else NO_DEPTH
        assert smooth[row, column, 4] == pytest.approx(depth, rel=1e-5)


def test_light_is_premultiplied_after_it_is_made_linear() -> None:
    alpha = np.array([[0.0, 1e-9, 0.25, 0.5, 1.0]], np.float32)
    straight = np.array([[[0.2, 0.5, 1.0]] * 5], np.float32)
    image = RenderedImage(straight * alpha[..., None], alpha, np.full_like(alpha, 2.0))
    job = frame_job(Path("run"), Path("a.npy"))
    linear = render_frame.pixels_of(image, job)
    expected = srgb_to_linear(straight) * alpha[..., None]
    np.testing.assert_allclose(linear[..., :3], expected, atol=1e-6)
    assert np.isfinite(linear).all()
    seen = render_frame.pixels_of(image, frame_job(Path("run"), Path("a.npy"), linear=False))
    np.testing.assert_array_equal(seen[..., :3], image.rgb)


def test_a_background_fills_what_the_field_leaves(run_path: Path, tmp_path: Path) -> None:
    clear = rendered(run_path, tmp_path, samples=2)
    filled = rendered(run_path, tmp_path, samples=2, background=(0.25, 0.5, 2.0))
    missing = 1 - clear[..., 3:4]
    np.testing.assert_allclose(
        filled[..., :3], clear[..., :3] + missing * (0.25, 0.5, 2.0), atol=1e-6
    )
    assert (filled[..., 3] == 1).all()
    np.testing.assert_array_equal(filled[..., 4], clear[..., 4])


def test_png_and_frame_agree_where_both_are_seen_colors(run_path: Path, tmp_path: Path) -> None:
    cameras = write_cameras(tmp_path / "camera.json", [POSE], SIZE)
    views = tmp_path / "png"
    list(start(RenderViews(run=str(run_path), cameras=str(cameras), output=str(views))))
    frame = rendered(run_path, tmp_path / "raw", linear=False)
    with Image.open(views / "view_0001.png") as image:
        picture = np.asarray(image, dtype=np.float32) / 255
    opaque = frame[..., 3] == 1
    assert opaque.sum() > 50
    np.testing.assert_allclose(frame[opaque][:, :3], picture[opaque][:, :3], atol=0.5 / 255)


def test_a_frame_that_is_cancelled_leaves_nothing(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_frame, "_TELL_EVERY_S", 0.0)
    monkeypatch.setattr(render_frame, "_STRIP_RAYS", 40)
    events = start(frame_job(run_path, tmp_path / "frame.npy"))
    told = [event for event, _ in zip(events, range(5), strict=False)]
    assert all(isinstance(event, Progress) for event in told)
    assert 0 < told[-1].done < 1
    events.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "must be positive"),
        ({"focal_x_px": -1.0}, "must be positive"),
        ({"camera_to_world": (1.0, 2.0)}, "16 and 4 finite numbers"),
        ({"center_x_px": float("nan")}, "16 and 4 finite numbers"),
        ({"region": (0, 0, 41, 30)}, "does not lie in 40 × 30"),
        ({"region": (5, 5, 5, 9)}, "does not lie in"),
        ({"region": (5, 5)}, "does not lie in"),
        ({"samples": 9}, "samples must be 1 to 8"),
        ({"reduction": 0}, "reduction must be 1 to 256"),
        ({"reduction": 2, "samples": 2}, "one sample a pixel"),
        ({"background": (1.0,)}, "three numbers"),
        ({"time": 1.5}, "time must be 0 to 1"),
        ({"output": "frame.png"}, "must end in .npy"),
    ],
)
def test_impossible_numbers_are_refused_in_words(
    run_path: Path, tmp_path: Path, options: dict, said: str
) -> None:
    job = frame_job(run_path, tmp_path / "frame.npy")
    with pytest.raises(JobError, match=said):
        list(start(RenderFrame(**{**vars(job), **options})))
    assert list(tmp_path.iterdir()) == []
