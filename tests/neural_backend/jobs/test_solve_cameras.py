# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving with a COLMAP that only pretends: a script that knows the answer and the real words."""

import sys
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.loading import load_capture
from neural_backend.jobs import colmap_program, start
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import Converted, Progress, SolveCameras, Warned
from tests.neural_backend.datasets.small_captures import colmap_lines, write_picture

PROGRAM = """#!{python}
import pathlib, shutil, sys, time
step, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
if step in ("-h",) or "-h" in sys.argv:
    print("--SiftExtraction.use_gpu arg" if "extract" in step else "--FeatureMatching.use_gpu arg")
elif step == "feature_extractor":
    assert options["--SiftExtraction.use_gpu"] == "0", options
    assert options["--ImageReader.single_camera"] == "1", options
    pictures = sorted(pathlib.Path(options["--image_path"]).iterdir())
    for number, _ in enumerate(pictures, start=1):
        print(f"Processed file [{{number}}/{{len(pictures)}}]", flush=True)
    if {hang}:
        pathlib.Path(options["--database_path"]).write_text("begun")
        time.sleep(600)
elif step.endswith("matcher"):
    assert step == "{matcher}", step
    assert options["--FeatureMatching.use_gpu"] == "0"
elif step == "mapper":
    if {fail}:
        print("E0000 No good initial image pair found.", file=sys.stderr)
        sys.exit(1)
    for number in range(1, 6):
        print(f"Registering image #{{number}} ({{number}})")
    shutil.copytree("{model}", options["--output_path"], dirs_exist_ok=True)
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(6):
        write_picture(tmp_path / "photos" / f"p{number}.png", alpha=False, seed=number)
    return tmp_path / "photos"


def write_models(folder: Path) -> Path:
    """Two groups, of two and of five photos that fit together."""
    angles = np.linspace(0, 1.2, 5)
    poses = [(angle, np.array([np.sin(angle), 0.0, -3 * np.cos(angle)])) for angle in angles]
    for name, first, count in (("0", 0, 2), ("1", 0, 5)):
        (folder / name).mkdir(parents=True)
        (folder / name / "cameras.txt").write_text("1 OPENCV 24 16 30 30 12 8 0.01 0 0 0\n")
        names = [f"p{number}.png" for number in range(first, first + count)]
        lines = colmap_lines(poses[:count], names)
        (folder / name / "images.txt").write_text("\n".join(lines) + "\n")
        (folder / name / "points3D.txt").write_text("")
    return folder


def pretend(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    matcher: str = "exhaustive_matcher",
    **how: bool,
) -> None:
    program = tmp_path / "colmap"
    values = {"fail": False, "hang": False, **how}
    model = write_models(tmp_path / "models")
    program.write_text(
        PROGRAM.format(python=sys.executable, model=model, matcher=matcher, **values)
    )
    program.chmod(0o755)
    monkeypatch.setenv("NEURAL_FIELDS_COLMAP", str(program))
    monkeypatch.setattr(colmap_program.shutil, "which", lambda _name: None)


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_the_largest_group_becomes_a_capture_and_the_others_are_told(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch)
    output = tmp_path / "solved"
    events = list(start(SolveCameras(pictures=str(photos), output=str(output))))
    assert events[-1] == Converted(job_id="job", output=str(output), num_views=5)
    assert any("1 of 6 photos" in event.message for event in events if isinstance(event, Warned))
    stages = {event.stage: event.done for event in events if isinstance(event, Progress)}
    assert stages == {"finding features": 6, "matching pictures": 0, "solving cameras": 5}
    capture = load_capture(output)
    assert [view.image for view in capture.views] == [photos / f"p{i}.png" for i in range(5)]
    assert capture.views[0].intrinsics.distortion[0] == 0.01
    assert capture.unbounded


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_frames_of_a_film_are_matched_with_their_neighbours(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, matcher="sequential_matcher")
    job = SolveCameras(pictures=str(photos), output=str(tmp_path / "solved"), in_sequence=True)
    assert isinstance(list(start(job))[-1], Converted)


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_a_failure_says_what_colmap_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, fail=True)
    with pytest.raises(JobError, match=r"solving cameras: .*No good initial image pair"):
        list(start(SolveCameras(pictures=str(photos), output=str(tmp_path / "solved"))))


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_cancelling_ends_colmap_at_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, hang=True)
    started = []
    real = colmap_program.subprocess.Popen

    def remember(*arguments: object, **options: object) -> object:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(colmap_program.subprocess, "Popen", remember)
    events = start(SolveCameras(pictures=str(photos), output=str(tmp_path / "solved")))
    for event in events:
        if isinstance(event, Progress) and event.done == 6:
            break
    running = started[-1]
    assert running.poll() is None
    events.close()
    assert running.poll() is not None


def test_without_colmap_the_sentence_says_how_to_get_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEURAL_FIELDS_COLMAP", raising=False)
    monkeypatch.setattr(colmap_program.shutil, "which", lambda _name: None)
    monkeypatch.setattr(colmap_program, "find_spec", lambda _name: None)
    with pytest.raises(JobError, match=r"COLMAP.* not installed.*pip install pycolmap"):
        list(start(SolveCameras(pictures=str(photos), output=str(tmp_path / "solved"))))
    assert not (tmp_path / "solved").exists()


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="holds 0 photos"):
        list(start(SolveCameras(pictures=str(tmp_path), output=str(tmp_path / "solved"))))
