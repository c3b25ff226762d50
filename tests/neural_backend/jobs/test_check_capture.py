# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from neural_backend.datasets.loading import load_capture
from neural_backend.jobs import start
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import (
    CaptureChecked,
    CheckCapture,
    Converted,
    Event,
    SelectViews,
    Warned,
)
from tests.neural_backend.datasets.small_captures import ring_of_poses, write_json

SIZE = (48, 40)


def photo(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(100, 156, (10, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(SIZE, Image.Resampling.NEAREST)


def write_photos(folder: Path, count: int = 24, **own: object) -> Path:
    """Sharp photos, equally bright, around the origin, with their bounds about it."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, pose in enumerate(ring_of_poses(count)):
        name = f"images/{number:02d}.png"
        photo(number).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    lens = {"fl_x": 50.0, "fl_y": 50.0, "cx": 24.0, "cy": 20.0, "w": SIZE[0], "h": SIZE[1]}
    block = {"version": 1, "unbounded": True, "bounds": [[-1.5] * 3, [1.5] * 3], **own}
    write_json(folder / "transforms.json", {**lens, "neural_fields": block, "frames": frames})
    return folder


def change(folder: Path, number: int, pose: np.ndarray) -> None:
    values = json.loads((folder / "transforms.json").read_text())
    values["frames"][number]["transform_matrix"] = pose.tolist()
    write_json(folder / "transforms.json", values)


def answer(job: CheckCapture | SelectViews) -> Event:
    return list(start(job))[-1]


def found_in(folder: Path) -> dict[str, list[str]]:
    checked = answer(CheckCapture(capture=str(folder)))
    assert isinstance(checked, CaptureChecked)
    assert len(checked.positions) == 3 * len(checked.views)
    views = iter(Path(name).stem for name in checked.views)
    return {
        kind: [next(views) for _ in range(count)]
        for kind, count in zip(checked.kinds, checked.counts, strict=True)
    }


def test_a_good_capture_has_no_problems(tmp_path: Path) -> None:
    assert found_in(write_photos(tmp_path / "photos")) == {}


def test_each_fault_is_found_in_the_pictures_that_have_it_and_in_no_others(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    photo(3).filter(ImageFilter.GaussianBlur(3)).save(folder / "images" / "03.png")
    photo(9).point(lambda value: value * 0.5).save(folder / "images" / "09.png")
    photo(12).resize((96, 80), Image.Resampling.NEAREST).save(folder / "images" / "12.png")
    (folder / "images" / "14.png").write_bytes((folder / "images" / "14.png").read_bytes()[:200])
    clear = photo(16).convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(folder / "images" / "16.png")
    turned = ring_of_poses(24)[18].copy()
    turned[:3, [0, 2]] *= -1  # looks away from the bounds
    change(folder, 18, turned)
    far = ring_of_poses(24)[20].copy()
    far[:3, 3] *= 4
    change(folder, 20, far)
    found = found_in(folder)
    assert len(found.pop("note")) == 0  # that the lens was scaled to the larger picture
    assert len(found.pop("mixed_alpha")) == 22
    assert found == {
        "unreadable": ["14"],
        "blurred": ["03"],
        "exposure": ["09"],
        "mixed_sizes": ["12"],
        "past_bounds": ["18"],
        "outside_bounds": ["20"],
    }


def test_sentences_count_what_they_are_about(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    for number in (3, 5):
        photo(number).filter(ImageFilter.GaussianBlur(3)).save(
            folder / "images" / f"{number:02d}.png"
        )
    checked = answer(CheckCapture(capture=str(folder)))
    assert checked.sentences == (
        "2 pictures are blurred. Leave them out: a field learns the blur as well.",
    )
    few = write_photos(tmp_path / "few", count=8)
    checked = answer(CheckCapture(capture=str(few)))
    assert checked.kinds == ("few_views",)
    assert checked.sentences[0].startswith("7 pictures to learn from are few")  # one is held out


def test_the_bounds_that_are_offered_hold_the_cameras_that_are_outside(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    far = ring_of_poses(24)[20].copy()
    far[:3, 3] *= 4
    change(folder, 20, far)
    checked = answer(CheckCapture(capture=str(folder)))
    lower, upper = np.array(checked.bounds).reshape(2, 3)
    assert (lower <= far[:3, 3]).all()
    assert (upper >= far[:3, 3]).all()
    assert (lower <= -1.5).all()
    assert (upper >= 1.5).all()


def test_selected_views_and_bounds_are_written_beside_and_the_capture_stays(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    before = (folder / "transforms.json").read_bytes()
    names = [view.name for view in load_capture(folder).views]
    job = SelectViews(
        capture=str(folder),
        output=str(tmp_path / "chosen" / "transforms.json"),
        leave_out=(names[3], names[5], "never there"),
        bounds_min=(-2.0, -2.0, -2.0),
    )
    events = list(start(job))
    assert any("never there" in event.message for event in events if isinstance(event, Warned))
    assert isinstance(events[-1], Converted)
    chosen = load_capture(events[-1].output)
    assert [view.image.name for view in chosen.views] == [
        f"{number:02d}.png" for number in range(24) if number not in (3, 5)
    ]
    np.testing.assert_array_equal(chosen.bounds, [[-2] * 3, [1.5] * 3])
    assert chosen.unbounded
    assert (folder / "transforms.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds_min": (2.0, 0.0, 0.0)}, "are no box"),
        ({"bounds_max": (2.0, 0.0)}, "three numbers"),
        ({"leave_out": tuple(f"images/{number:02d}" for number in range(24))}, "would be left"),
    ],
)
def test_a_selection_that_leaves_nothing_is_refused(
    tmp_path: Path, options: dict, message: str
) -> None:
    folder = write_photos(tmp_path / "photos")
    names = {Path(view.name).stem: view.name for view in load_capture(folder).views}
    if "leave_out" in options:
        options = {"leave_out": tuple(names.values())}
    output = str(tmp_path / "chosen" / "transforms.json")
    with pytest.raises(JobError, match=message):
        list(start(SelectViews(capture=str(folder), output=output, **options)))
    with pytest.raises(JobError, match="own folder"):
        list(start(SelectViews(capture=str(folder), output=str(folder / "other.json"))))
