# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neural_backend as nf
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import ImageFitted, Progress


def picture(tmp_path: Path, alpha: bool = False) -> Path:
    y, x = np.mgrid[0:20, 0:30]
    rgba = np.full((20, 30, 4), 255, dtype=np.uint8)
    rgba[..., 0], rgba[..., 1], rgba[..., 2] = x * 8, y * 12, 40
    if alpha:
        rgba[:, :10, 3] = 0
    path = tmp_path / "pictüre.png"
    Image.fromarray(rgba).save(path)
    return path


def test_a_picture_is_learned_and_drawn_larger(tmp_path: Path) -> None:
    events = []
    fitted = nf.fit_image(
        picture(tmp_path), tmp_path / "out.png", width=90, scale=1.0, steps=250,
        on_event=events.append,
    )  # fmt: skip
    assert isinstance(fitted, ImageFitted)
    assert (fitted.width, fitted.height) == (90, 60)
    assert fitted.psnr > 30
    drawn = np.asarray(Image.open(fitted.output)).astype(float)
    assert drawn.shape == (60, 90, 4)
    assert drawn[30, 45, 0] == pytest.approx(8 * 14.7, abs=12)
    assert (drawn[..., 3] == 255).all()
    told = [event for event in events if isinstance(event, Progress)]
    assert told[-2].done == told[-2].total == 250


def test_what_is_transparent_stays_so(tmp_path: Path) -> None:
    fitted = nf.fit_image(picture(tmp_path, True), tmp_path / "out.png", scale=2.0, steps=300)
    drawn = np.asarray(Image.open(fitted.output))
    assert drawn[:, :8, 3].max() < 60
    assert drawn[:, 13:, 3].min() > 195
    assert drawn[10, 25, 0] == pytest.approx(200, abs=25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "hash"}, "none, basic, positional"),
        ({"output": "out.jpg"}, r"no \.png"),
        ({"width": -3}, "pixels wide"),
        ({"scale": 0.0}, r"scale must be from 0\.001 to 10000, got 0\.0"),
        ({"steps": -1}, "steps must be from 1 to"),
        ({"image": "gone.png"}, "no picture"),
        ({"image": "broken.png"}, "cannot be read"),
    ],
)
def test_impossible_options_are_explained(tmp_path: Path, options: dict, message: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    image = tmp_path / options.pop("image") if "image" in options else picture(tmp_path)
    output = tmp_path / options.pop("output", "out.png")
    with pytest.raises(JobError, match=message):
        nf.fit_image(image, output, **options)
