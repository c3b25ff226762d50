# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.jobs import start
from neural_backend.jobs.view_files import NO_DEPTH, picture_size, read_exr
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import Progress, RenderViews, ViewsReady, Warned
from tests.analytic_run import looking_at_origin, make_run, write_cameras


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return make_run(tmp_path).path


@pytest.fixture
def cameras(tmp_path: Path) -> Path:
    """Without pictures, as an animated camera is written."""
    poses = [looking_at_origin((3.0, y, 1.0)) for y in (-1.0, 0.0, 1.0)]
    names = [f"view_{frame:04d}.png" for frame in (41, 42, 43)]
    file = tmp_path / "path ä.json"
    return write_cameras(file, poses, (18, 14), frame=[41, 42, 43], file_path=names)


def render(run_path: Path, **options) -> tuple[ViewsReady, list]:
    events = list(start(RenderViews(run=str(run_path), **options)))
    assert isinstance(events[-1], ViewsReady)
    return events[-1], events


def test_files_are_named_by_their_timeline_frame(run_path: Path, cameras: Path) -> None:
    ready, events = render(run_path, cameras=str(cameras), depth=True, normals=True)
    assert ready.frames == (41, 42, 43)
    assert [Path(file).name for file in ready.files] == [f"view_004{n}.png" for n in (1, 2, 3)]
    assert Path(ready.output) == run_path / "outputs" / "views"
    names = sorted(path.name for path in Path(ready.output).iterdir())
    assert names == sorted(
        f"{kind}_004{n}.{ending}"
        for kind, ending in (("view", "png"), ("depth", "exr"), ("normal", "exr"))
        for n in (1, 2, 3)
    )
    assert picture_size(Path(ready.files[0])) == (18, 14)
    told = [event for event in events if isinstance(event, Progress) and event.unit == "views"]
    assert told[-1].done == told[-1].total == 3
    assert told[-1].eta_s == 0


def test_depth_normals_and_color_agree_with_the_scene(run_path: Path, cameras: Path) -> None:
    ready, _ = render(run_path, cameras=str(cameras), depth=True, normals=True)
    folder = Path(ready.output)
    depth = read_exr(folder / "depth_0042.exr")["Y"]
    normals = read_exr(folder / "normal_0042.exr")["RGB"]
    with Image.open(folder / "view_0042.png") as image:
        rgba = np.asarray(image) / 255
    pose = looking_at_origin((3.0, 0.0, 1.0))
    assert rgba[7, 9, 3] == 1
    assert depth[7, 9] == pytest.approx(10**0.5 - 0.7, abs=0.01)
    np.testing.assert_allclose(normals[7, 9], pose[:3, 2], atol=0.1)
    np.testing.assert_allclose(rgba[7, 9, :3], 0.5 + 0.35 * pose[:3, 2], atol=0.04)
    assert rgba[0, 0, 3] == 0
    assert depth[0, 0] == np.float32(NO_DEPTH)


def test_finished_frames_are_kept_and_missing_ones_rendered(run_path: Path, cameras: Path) -> None:
    ready, _ = render(run_path, cameras=str(cameras), depth=True)
    files = [Path(file) for file in ready.files]
    kept, broken, halved = files
    before = kept.stat().st_mtime_ns
    broken.write_bytes(broken.read_bytes()[:20])
    (Path(ready.output) / "depth_0043.exr").unlink()
    halved_before = halved.stat().st_mtime_ns
    again, events = render(run_path, cameras=str(cameras), depth=True)
    assert again.files == ready.files
    assert kept.stat().st_mtime_ns == before
    assert picture_size(broken) == (18, 14)
    assert halved.stat().st_mtime_ns > halved_before
    assert max(event.total for event in events if isinstance(event, Progress)) == 2


@pytest.mark.parametrize("options", [{}, {"bits": 16}, {"format": "exr"}])
def test_a_frame_whose_camera_or_options_changed_is_rendered_again_and_no_other(
    run_path: Path, cameras: Path, options: dict
) -> None:
    ready, _ = render(run_path, cameras=str(cameras), **options)
    files = [Path(file) for file in ready.files]
    before = [file.stat().st_mtime_ns for file in files]
    poses = [looking_at_origin((3.0, y, 1.0)) for y in (-1.0, 0.5, 1.0)]
    write_cameras(cameras, poses, (18, 14), frame=[41, 42, 43])
    render(run_path, cameras=str(cameras), **options)
    after = [file.stat().st_mtime_ns for file in files]
    changed = [new > old for old, new in zip(before, after, strict=True)]
    assert changed == [False, True, False]
    render(run_path, cameras=str(cameras), background="white", **options)
    assert all(new.stat().st_mtime_ns > old for new, old in zip(files, after, strict=True))


def test_a_picture_that_says_nothing_of_its_camera_is_kept(run_path: Path, cameras: Path) -> None:
    folder = run_path / "outputs" / "views"
    folder.mkdir(parents=True)
    Image.new("RGBA", (18, 14)).save(folder / "view_0042.png")
    before = (folder / "view_0042.png").read_bytes()
    render(run_path, cameras=str(cameras))
    assert (folder / "view_0042.png").read_bytes() == before


def test_overwrite_renders_all_again(run_path: Path, cameras: Path) -> None:
    ready, _ = render(run_path, cameras=str(cameras))
    before = [Path(file).stat().st_mtime_ns for file in ready.files]
    ready, _ = render(run_path, cameras=str(cameras), overwrite=True)
    after = [Path(file).stat().st_mtime_ns for file in ready.files]
    assert all(new > old for old, new in zip(before, after, strict=True))


def test_cancelling_leaves_whole_frames_only_and_can_be_resumed(
    run_path: Path, cameras: Path
) -> None:
    job = RenderViews(run=str(run_path), cameras=str(cameras))
    events = start(job)
    for event in events:
        if isinstance(event, Progress) and event.unit == "views" and event.done == 1:
            break
    events.close()
    folder = run_path / "outputs" / "views"
    assert [path.name for path in folder.iterdir()] == ["view_0041.png"]
    ready, _ = render(run_path, cameras=str(cameras))
    assert len(ready.files) == 3


def test_views_older_than_the_field_are_kept_with_a_warning(run_path: Path, cameras: Path) -> None:
    ready, _ = render(run_path, cameras=str(cameras))
    for file in ready.files:
        os.utime(file, (1, 1))
    _, events = render(run_path, cameras=str(cameras))
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "3 of 3 views" in warnings[0]
    assert Path(ready.files[0]).stat().st_mtime == 1


def test_held_out_cameras_are_taken_where_none_are_named(run_path: Path, tmp_path: Path) -> None:
    ready, _ = render(run_path, output=str(tmp_path / "out"), format="exr")
    assert ready.frames == (1,)
    assert picture_size(tmp_path / "out" / "view_0001.exr") == (24, 20)


@pytest.mark.parametrize(("background", "corner"), [("white", 255), ("black", 0)])
def test_backgrounds_make_opaque_pictures(
    run_path: Path, cameras: Path, background: str, corner: int
) -> None:
    ready, _ = render(run_path, cameras=str(cameras), background=background)
    with Image.open(ready.files[0]) as image:
        assert image.getpixel((0, 0)) == (corner, corner, corner, 255)


def test_a_video_is_made_of_kept_and_new_frames(run_path: Path, cameras: Path) -> None:
    render(run_path, cameras=str(cameras))
    ready, events = render(run_path, cameras=str(cameras), video=True, fps=12)
    assert Path(ready.video).read_bytes()[4:8] == b"ftyp"
    assert "encoding the video" in {event.stage for event in events if isinstance(event, Progress)}


def test_frames_that_are_named_twice_are_counted_instead(run_path: Path, tmp_path: Path) -> None:
    poses = [looking_at_origin((3.0, y, 1.0)) for y in (-1.0, 0.0)]
    file = write_cameras(tmp_path / "c.json", poses, (8, 8), frame=[7, 7], file_path=["a", "b"])
    ready, _ = render(run_path, cameras=str(file))
    assert ready.frames == (1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "jpeg"}, "png, exr"),
        ({"bits": 12}, "8, 16"),
        ({"background": "pink"}, "learned"),
        ({"video": True, "fps": 0.0}, "frames a second"),
        ({"cameras": "/nowhere/cameras.json"}, "does not exist"),
    ],
)
def test_impossible_options_are_explained(run_path: Path, options: dict, message: str) -> None:
    with pytest.raises(JobError, match=message):
        render(run_path, **options)
