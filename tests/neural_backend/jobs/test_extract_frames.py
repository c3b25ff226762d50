# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.jobs import start
from neural_backend.jobs.view_files import write_video
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import ExtractFrames, Warned


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Eight frames, each a little brighter."""
    for number in range(1, 9):
        picture = Image.new("RGBA", (64, 48), (25 * number, 25 * number, 25 * number, 255))
        (tmp_path / "made").mkdir(exist_ok=True)
        picture.save(tmp_path / "made" / f"{number}.png")
    pictures = [tmp_path / "made" / f"{number}.png" for number in range(1, 9)]
    for _ in write_video(tmp_path / "film.mp4", pictures, 24.0):
        pass
    return tmp_path / "film.mp4"


def brightness(path: Path) -> float:
    return float(np.asarray(Image.open(path)).mean())


def test_the_frames_that_were_asked_for_are_those_of_the_movie(movie: Path, tmp_path: Path) -> None:
    job = ExtractFrames(movie=str(movie), output=str(tmp_path / "frames"), frames=(2, 7, 3))
    ready = list(start(job))[-1]
    assert ready.frames == (2, 3, 7)
    assert ready.files == ("0002.png", "0003.png", "0007.png")
    for number, file in zip(ready.frames, ready.files, strict=True):
        assert brightness(tmp_path / "frames" / file) == pytest.approx(25 * number, abs=3)


def test_without_a_choice_all_are_written_and_missing_ones_are_told(
    movie: Path, tmp_path: Path
) -> None:
    all_of_them = list(start(ExtractFrames(movie=str(movie), output=str(tmp_path / "all"))))[-1]
    assert all_of_them.frames == tuple(range(1, 9))
    job = ExtractFrames(movie=str(movie), output=str(tmp_path / "some"), frames=(8, 9, 10))
    warnings = [event.message for event in start(job) if isinstance(event, Warned)]
    assert warnings == ["The movie ends at frame 8; 2 later ones are missing."]


def test_what_is_no_movie_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no movie at"):
        list(start(ExtractFrames(movie=str(tmp_path / "a.mp4"), output=str(tmp_path / "b"))))
    (tmp_path / "a.mp4").write_bytes(b"no movie at all")
    with pytest.raises(JobError, match="cannot be read as a movie"):
        list(start(ExtractFrames(movie=str(tmp_path / "a.mp4"), output=str(tmp_path / "b"))))
