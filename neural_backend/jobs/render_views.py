# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a trained field through cameras, a file a view."""

import contextlib
import hashlib
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.capture import View
from ..datasets.loading import load_cameras
from ..kernels import process_group
from ..methods.base import Method
from ..protocol.errors import JobError
from ..protocol.messages import Event, Progress, RenderViews, ViewsReady, Warned
from ..rendering.image import RenderedImage
from .devices import choose_device
from .field_views import render_field
from .run_capture import at_training_size, load_run_capture
from .run_folder import RunFolder
from .trained_method import load_method
from .view_files import (
    picture_note,
    picture_size,
    write_depth,
    write_exr,
    write_exr_channels,
    write_png,
    write_video,
)

BACKGROUNDS = ("transparent", "white", "black", "learned")

_TELL_EVERY_S = 0.25
_MOST_DIGITS = 4


@dataclass(frozen=True)
class _Frame:
    """A view to render and the files it is written to."""

    view: View
    number: int
    picture: Path
    depth: Path | None
    normals: Path | None
    note: str
    """Stands for camera, moment and options: a picture that has another is of something else."""

    @property
    def files(self) -> Iterator[Path]:
        return (path for path in (self.picture, self.depth, self.normals) if path is not None)

    def is_there(self) -> bool:
        size = (self.view.intrinsics.width, self.view.intrinsics.height)
        if not all(picture_size(path) == size for path in self.files):
            return False
        return picture_note(self.picture) in ("", self.note)


def run(job: RenderViews) -> Generator[Event, None, None]:
    """Renders what is not there yet, then the video.

    Raises:
        JobError: where there are no cameras, or an option is impossible.
    """
    _check_options(job)
    run_folder = RunFolder.open(job.run)
    views = _views(job, run_folder)
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "views"
    frames = _frames(job, views, output.absolute())
    missing = [frame for frame in frames if job.overwrite or not frame.is_there()]
    stale = _older_than_the_field(run_folder, [one for one in frames if one not in missing])
    if stale:
        message = (
            f"{stale} of {len(frames)} views were rendered before the field was last trained and "
            "are kept; render with overwrite to replace them."
        )
        yield Warned(job_id=job.job_id, message=message)
    process_group.wait()  # or one would list as missing what another is at
    missing = process_group.part(missing)
    if missing:
        yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
        method = load_method(run_folder, choose_device(job.device))
        yield from _render(job, method, missing)
    process_group.wait()
    video = str(output.absolute() / "views.mp4") if job.video else ""
    if job.video and process_group.rank() == 0:
        yield from _encode(job, [frame.picture for frame in frames], Path(video))
    yield ViewsReady(
        job_id=job.job_id,
        output=str(output.absolute()),
        files=tuple(str(frame.picture) for frame in frames),
        frames=tuple(frame.number for frame in frames),
        video=video,
    )


def _render(job: RenderViews, method: Method, frames: list[_Frame]) -> Generator[Event, None, None]:
    started, told = time.monotonic(), 0.0
    for index, frame in enumerate(frames):
        tiles = render_field(method, frame.view, job.normals)
        while True:
            try:
                share = next(tiles)
            except StopIteration as finished:
                image: RenderedImage = finished.value
                break
            now = time.monotonic()
            # A view counts as done once its files are there.
            if now - told >= _TELL_EVERY_S and share < 1:
                told = now
                yield _progress(job, index + share, len(frames), now - started)
        _write(job, frame, image)
        yield _progress(job, index + 1, len(frames), time.monotonic() - started)


def _progress(job: RenderViews, done: float, total: int, seconds: float) -> Progress:
    return Progress(
        job_id=job.job_id,
        stage="rendering views",
        done=done,
        total=total,
        unit="views",
        seconds=seconds,
        eta_s=seconds * (total - done) / done if done else -1.0,
    )


def _write(job: RenderViews, frame: _Frame, image: RenderedImage) -> None:
    # The picture comes last: where it is, its depth and normals are too.
    if frame.depth is not None:
        write_depth(frame.depth, image.depth)
    if frame.normals is not None:
        assert image.normals is not None
        write_exr_channels(frame.normals, {"RGB": image.normals})
    rgba = _with_background(image, job.background)
    if job.format == "exr":
        write_exr(frame.picture, rgba, frame.note)
    else:
        write_png(frame.picture, rgba, job.bits, frame.note)


def _with_background(image: RenderedImage, background: str) -> NDArray[np.float32]:
    """Straight-alpha RGBA.

    `learned` is opaque too, and shows of the surroundings what the field itself learned of them.
    """
    if background == "transparent":
        return image.straight_rgba()
    rgb = image.over(1.0 if background == "white" else 0.0)
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=-1)


def _encode(job: RenderViews, pictures: list[Path], path: Path) -> Generator[Event, None, None]:
    started = time.monotonic()
    try:
        with contextlib.closing(write_video(path, pictures, job.fps)) as encoding:
            for done in encoding:
                seconds = time.monotonic() - started
                yield Progress(
                    job_id=job.job_id,
                    stage="encoding the video",
                    done=done,
                    total=len(pictures),
                    unit="views",
                    seconds=seconds,
                    eta_s=seconds * (len(pictures) - done) / done,
                )
    except ValueError as error:
        raise JobError(
            f"The views have different sizes, so they cannot be one video: {error}.",
            "Render without the video, or through cameras of one resolution.",
        ) from error


def _views(job: RenderViews, run_folder: RunFolder) -> tuple[View, ...]:
    if job.cameras:
        return load_cameras(job.cameras)
    capture = load_run_capture(run_folder)
    for split in ("test", "val", "train"):
        if capture.split(split).views:
            return at_training_size(run_folder, capture.split(split).views)
    raise JobError(
        f"{run_folder.path} has no cameras to render through.", "Choose a file of cameras."
    )


def _frames(job: RenderViews, views: tuple[View, ...], output: Path) -> list[_Frame]:
    """Views named by their timeline frame, or counted from 1 where they have none of their own."""
    own = [view.frame for view in views if view.frame is not None]
    unique = len(own) == len(views) and len(set(own)) == len(own)
    numbers = own if unique else list(range(1, len(views) + 1))
    return [
        _Frame(
            view=view,
            number=number,
            picture=output / f"view_{number:0{_MOST_DIGITS}d}.{job.format}",
            depth=output / f"depth_{number:0{_MOST_DIGITS}d}.exr" if job.depth else None,
            normals=output / f"normal_{number:0{_MOST_DIGITS}d}.exr" if job.normals else None,
            note=_note_of(job, view),
        )
        for number, view in zip(numbers, views, strict=True)
    ]


def _note_of(job: RenderViews, view: View) -> str:
    """The same for what looks the same, so that an unchanged animation is not rendered again."""
    lens = {
        name: np.round(value, 4).tolist() if isinstance(value, (float, tuple)) else value
        for name, value in asdict(view.intrinsics).items()
    }
    pose = np.round(view.camera_to_world, 6) + 0.0  # no minus zero
    seen = [lens, pose.tolist(), view.time, job.background, job.bits]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def _older_than_the_field(run_folder: RunFolder, frames: list[_Frame]) -> int:
    states = list(run_folder.checkpoints.rglob("*.safetensors"))
    if not states:
        return 0
    learned = max(path.stat().st_mtime for path in states)
    return sum(frame.picture.stat().st_mtime < learned for frame in frames)


def _check_options(job: RenderViews) -> None:
    choices = (
        ("picture format", job.format, ("png", "exr")),
        ("number of bits", job.bits, (8, 16)),
        ("background", job.background, BACKGROUNDS),
    )
    for what, got, allowed in choices:
        if got not in allowed:
            names = ", ".join(str(one) for one in allowed)
            raise JobError(f"There is no {what} {got!r}.", f"Choose one of {names}.")
    if job.video and not job.fps > 0:
        raise JobError(f"A video cannot have {job.fps:g} frames a second.", "Choose more than 0.")
