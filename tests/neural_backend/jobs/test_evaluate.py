# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_backend.jobs import start
from neural_backend.jobs.evaluate import compared, over_white
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import Evaluate, Evaluated, Progress
from tests.analytic_run import make_run


def evaluate(run_path: Path, **options) -> tuple[Evaluated, list]:
    events = list(start(Evaluate(run=str(run_path), **options)))
    assert isinstance(events[-1], Evaluated)
    return events[-1], events


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return make_run(tmp_path).path


def test_exact_pictures_score_as_high_as_their_8_bits_allow(run_path: Path) -> None:
    done, events = evaluate(run_path)
    assert done.num_views == 1
    assert done.psnr > 55
    assert done.ssim > 0.999
    assert done.lpips == -1.0
    folder = run_path / "outputs" / "evaluation"
    assert Path(done.output) == folder
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert figures["mean"]["psnr"] == done.psnr
    assert [view["name"] for view in figures["views"]] == [figures["views"][0]["name"]]
    assert figures["mean"]["lpips"] is None
    table = (folder / "metrics.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 4
    assert f"{done.psnr:.2f}" in table[-1]
    (picture,) = folder.glob("*.png")
    with Image.open(picture) as image:
        assert image.size == (3 * 24, 20)
    assert events[-2].done == events[-2].total == 1


def test_a_known_error_gives_a_known_psnr(run_path: Path, tmp_path: Path) -> None:
    """One held-out picture is made all white; what is missing then is the solid itself."""
    picture = tmp_path / "capture" / "images" / "000.png"
    with Image.open(picture) as image:
        truth = over_white(np.asarray(image))
    Image.fromarray(np.zeros((20, 24, 4), np.uint8)).save(picture)
    done, _ = evaluate(run_path, images=False)
    expected = -10 * np.log10(((truth - 1) ** 2).mean())
    assert done.psnr == pytest.approx(expected, abs=0.1)
    assert not list(Path(done.output).glob("*.png"))


def test_the_training_split_can_be_asked_for(run_path: Path, tmp_path: Path) -> None:
    done, events = evaluate(run_path, split="train", output=str(tmp_path / "on train"))
    assert done.num_views == 7
    assert len(list((tmp_path / "on train").glob("*.png"))) == 7
    assert any(isinstance(event, Progress) and event.unit == "views" for event in events)


def test_a_split_without_views_is_explained(run_path: Path) -> None:
    with pytest.raises(JobError, match=r"split 'val'.*It has test, train"):
        evaluate(run_path, split="val")


def test_transparent_truth_is_seen_over_white() -> None:
    rgba = np.array([[[0, 0, 0, 0], [255, 0, 0, 255]]], dtype=np.uint8)
    np.testing.assert_array_equal(over_white(rgba), [[[1, 1, 1], [1, 0, 0]]])


def test_the_error_picture_is_dark_where_right_and_bright_where_wrong() -> None:
    truth = np.zeros((2, 2, 3), np.float32)
    image = truth.copy()
    image[0, 0] = 1.0
    valid = np.array([[True, True], [True, False]])
    picture = compared(image, truth, valid)
    assert picture.shape == (2, 6, 4)
    np.testing.assert_array_equal(picture[:, :2, :3], image)
    assert picture[0, 4, :3].min() > 0.8
    assert picture[0, 5, :3].max() < 0.1
    assert picture[1, 5, 3] == 0
