# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the frames of a movie as pictures."""

import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np
from PIL import Image

from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractFrames, FramesExtracted, Progress, Warned
from .view_files import whole_file

_TELL_EVERY_S = 0.25


def run(job: ExtractFrames) -> Generator[Event, None, None]:
    """Frames count from 1, as Blender's clips do.

    Raises:
        JobError: where the movie cannot be read, or has none of the frames.
    """
    movie, output = Path(job.movie).expanduser(), Path(job.output).expanduser().absolute()
    if not movie.is_file():
        raise JobError(f"There is no movie at {movie}.", "Choose another, or relink the clip.")
    wanted = set(job.frames)
    if wanted and min(wanted) < 1:
        raise JobError(f"There is no frame {min(wanted)}.", "The first frame of a movie is 1.")
    written: list[int] = []
    started = told = time.monotonic()
    yield Progress(job_id=job.job_id, stage="reading the movie", done=0, total=1, unit="")
    last, total = max(wanted, default=0), len(wanted)
    for number, pixels in _frames(movie):
        if last and number > last:
            break
        if wanted and number not in wanted:
            continue
        with whole_file(output / f"{number:04d}.png") as temporary:
            Image.fromarray(pixels).save(temporary, compress_level=1)
        written.append(number)
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S:
            told = now
            yield Progress(
                job_id=job.job_id,
                stage="writing frames",
                done=len(written),
                total=total or len(written),
                unit="pictures",
                seconds=now - started,
            )
    if not written:
        raise JobError(f"{movie} has none of the frames that were asked for.", "Check the clip.")
    missing = wanted - set(written)
    if missing:
        message = f"The movie ends at frame {written[-1]}; {len(missing)} later ones are missing."
        yield Warned(job_id=job.job_id, message=message)
    yield FramesExtracted(
        job_id=job.job_id,
        output=str(output),
        files=tuple(f"{number:04d}.png" for number in written),
        frames=tuple(written),
    )


def _frames(movie: Path) -> Generator[tuple[int, np.ndarray], None, None]:
    """The number and the (height, width, 3) pixels of each frame."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    # Pictures that name their size, one after the other: nothing has to be asked before.
    options = ("-v", "error", "-i", str(movie), "-f", "image2pipe", "-c:v", "ppm", "-")
    number = 0
    with subprocess.Popen(
        (program, *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as process:
        try:
            assert process.stdout is not None
            while (pixels := _read_ppm(process.stdout)) is not None:
                number += 1
                yield number, pixels
        finally:
            process.kill()
    if not number:
        raise JobError(
            f"{movie} cannot be read as a movie.", "Play it in another program, or convert it."
        )


def _read_ppm(stream: IO[bytes]) -> np.ndarray | None:
    """The next picture of a stream; None at its end, or where the last one is cut off."""
    if stream.readline().strip() != b"P6":
        return None
    width, height = (int(number) for number in stream.readline().split())
    stream.readline()  # the largest level, 255
    data = stream.read(3 * width * height)
    if len(data) < 3 * width * height:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
