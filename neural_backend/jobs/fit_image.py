# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns a picture as a function, and draws it at any resolution."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..datasets.images import read_picture
from ..datasets.picture_files import PICTURE_ERRORS
from ..fields.image_field import ENCODINGS, ImageField, draw
from ..methods.configuration import config_from_dict
from ..methods.image_fitting import ImageFittingConfig, fit_image
from ..protocol.errors import JobError
from ..protocol.messages import Event, FitImage, ImageFitted, Progress
from ..training.metrics import psnr
from .devices import choose_device
from .view_files import write_png

_TELL_EVERY_S = 0.25
_WIDEST = 1 << 14


def run(job: FitImage) -> Generator[Event, None, None]:
    """Learns, draws and writes the picture.

    Raises:
        JobError: where the picture is unreadable or an option impossible.
    """
    output = Path(job.output).expanduser()
    _check_options(job, output)
    given: dict[str, Any] = {"encoding": job.encoding, "scale": job.scale}
    if job.steps:
        given["steps"] = job.steps
    config = config_from_dict(ImageFittingConfig, given)
    picture = _read(Path(job.image).expanduser())
    # Colors count as much as they are opaque; what is invisible need not be learned.
    picture[..., :3] *= picture[..., 3:]
    channels = 3 if (picture[..., 3] == 1).all() else 4
    truth = picture[..., :channels]
    image = torch.from_numpy(truth).to(choose_device(job.device))
    started = time.monotonic()
    field = yield from _told(job, image, config)
    seconds = time.monotonic() - started
    height, width = truth.shape[:2]
    new_width = job.width or width
    new_height = max(1, round(height * new_width / width))
    yield Progress(job_id=job.job_id, stage="drawing the picture", done=0, total=1, unit="")
    learned = draw(field, height, width).numpy()
    drawn = learned if new_width == width else draw(field, new_height, new_width).numpy()
    write_png(output, _straight(drawn))
    yield ImageFitted(
        job_id=job.job_id,
        output=str(output.absolute()),
        width=new_width,
        height=new_height,
        psnr=psnr(learned, truth),
        seconds=seconds,
    )


def _told(
    job: FitImage, image: torch.Tensor, config: ImageFittingConfig
) -> Generator[Event, None, ImageField]:
    steps = fit_image(image, config, torch.Generator().manual_seed(job.seed))
    started, told = time.monotonic(), 0.0
    while True:
        try:
            done, loss = next(steps)
        except StopIteration as finished:
            return finished.value
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S or done == config.steps:
            told, seconds = now, now - started
            yield Progress(
                job_id=job.job_id,
                stage="learning the picture",
                done=done,
                total=config.steps,
                seconds=seconds,
                eta_s=seconds * (config.steps - done) / done,
                loss=loss,
            )


def _read(path: Path) -> NDArray[np.float32]:
    if not path.is_file():
        raise JobError(f"There is no picture {path}.", "Check the path.")
    try:
        return read_picture(path).astype(np.float32) / 255
    except PICTURE_ERRORS as error:
        raise JobError(f"{path.name} cannot be read: {error}.", "Choose another picture.") from None


def _straight(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """RGBA with straight alpha, of premultiplied RGBA or of RGB."""
    if picture.shape[-1] == 3:
        return np.concatenate([picture, np.ones_like(picture[..., :1])], axis=-1)
    color = picture[..., :3] / np.maximum(picture[..., 3:], 1e-6)
    return np.concatenate([color.clip(0, 1), picture[..., 3:]], axis=-1)


def _check_options(job: FitImage, output: Path) -> None:
    if job.encoding not in ENCODINGS:
        raise JobError(
            f"There is no encoding {job.encoding!r}.", f"Choose one of {', '.join(ENCODINGS)}."
        )
    if output.suffix.lower() != ".png":
        raise JobError(f"{output.name} is no .png.", "Choose a name that ends in .png.")
    if not 0 <= job.width <= _WIDEST:
        raise JobError(
            f"A picture cannot be {job.width} pixels wide.", f"Choose from 1 to {_WIDEST}."
        )
