# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving with a COLMAP that only pretends: a script that knows the answer and the real words."""

import shutil
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


def test_what_is_done_is_told_of_files_blocks_and_cameras_in_the_words_of_all_releases() -> None:
    told = colmap_program.pictures_done
    assert told("Processed file [3/20]", 20) == 3
    assert told("I2 feature_extraction.cc:268] Processed file [12/20]", 20) == 12
    assert told("Matching block [1/2, 1/2] in 3.1s", 20) == 0
    assert told("I2 pairing.cc:214] Processing block [2/2, 1/2]", 20) == 10
    assert told("Matching image [7/20] in 0.1s", 20) == 7
    assert told("Registering image #5 (4)", 20) == 4
    assert told("Registering image #4 (num_reg_frames=2)", 20) == 2
    assert told("Bundle adjustment report", 20) is None


BINDINGS = """
import pathlib, shutil
class CameraMode:
    SINGLE, AUTO = "single", "auto"
class ImageReaderOptions:
    camera_model = "SIMPLE_RADIAL"
class ExhaustivePairingOptions:
    block_size = 50
def extract_features(database_path, image_path, *, camera_mode, reader_options):
    assert (camera_mode, reader_options.camera_model) == ("single", "OPENCV")
    pathlib.Path(database_path).write_text("features")
def match_exhaustive(database_path, *, pairing_options):
    assert pairing_options.block_size < 50
    pathlib.Path(database_path).write_text("matches")
def match_sequential(database_path):
    raise AssertionError("the photos are in no sequence")
def incremental_mapping(database_path, image_path, output_path):
    assert pathlib.Path(database_path).read_text() == "matches"
    shutil.copytree("{model}", output_path, dirs_exist_ok=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_without_the_program_its_python_package_does_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "pycolmap"
    package.mkdir(parents=True)
    model = write_models(tmp_path / "models")
    (package / "__init__.py").write_text(BINDINGS.replace("{model}", str(model)))
    # A process of its own, which takes the package from there.
    runner = tmp_path / "python"
    runner.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.path.insert(0, {str(package.parent)!r})\n"
        "assert sys.argv[1] == '-I'\nsys.argv = sys.argv[2:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    runner.chmod(0o755)
    monkeypatch.delenv("NEURAL_FIELDS_COLMAP", raising=False)
    monkeypatch.setattr(colmap_program.shutil, "which", lambda _name: None)
    monkeypatch.setattr(colmap_program, "find_spec", lambda _name: object())
    monkeypatch.setattr(colmap_program.sys, "executable", str(runner))
    events = list(start(SolveCameras(pictures=str(photos), output=str(tmp_path / "solved"))))
    assert events[-1] == Converted(job_id="job", output=str(tmp_path / "solved"), num_views=5)


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script")
def test_the_scene_stands_upright_though_the_model_does_not(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COLMAP's first camera has its y axis down; here the pictures' horizons are level."""
    pretend(tmp_path, monkeypatch)
    list(start(SolveCameras(pictures=str(photos), output=str(tmp_path / "solved"))))
    poses = np.array([view.camera_to_world for view in load_capture(tmp_path / "solved").views])
    np.testing.assert_allclose(poses[:, :3, 1], np.tile([0, 0, 1.0], (5, 1)), atol=1e-6)
    assert -poses[0, 1, 2] == pytest.approx(1.0)


@pytest.mark.slow
def test_the_cameras_of_real_photos_are_those_that_others_have_found(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten photos of the fox, against the poses that came with them, up to place, size and turn."""
    pytest.importorskip("pycolmap", reason="needs pycolmap, which finds the cameras")
    fox = shared_data / "fox"
    monkeypatch.delenv("NEURAL_FIELDS_COLMAP", raising=False)
    monkeypatch.setattr(colmap_program.shutil, "which", lambda _name: None)
    chosen = tmp_path / "photos"
    chosen.mkdir()
    for photo in sorted((fox / "images").iterdir())[:20:2]:
        shutil.copy(photo, chosen)
    events = list(start(SolveCameras(pictures=str(chosen), output=str(tmp_path / "solved"))))
    assert events[-1].num_views == 10
    known = {view.image.name: view for view in load_capture(fox).views}
    solved = load_capture(tmp_path / "solved").views
    ours = np.array([view.camera_to_world for view in solved])
    theirs = np.array([known[view.image.name].camera_to_world for view in solved])
    turn, distances = aligned(ours, theirs)
    extent = np.linalg.norm(np.ptp(theirs[:, :3, 3], axis=0))
    assert distances.max() < 0.02 * extent
    between = turn @ ours[:, :3, :3]
    cosines = (np.einsum("nij,nij->n", between, theirs[:, :3, :3]) - 1) / 2
    # Their lens is off its middle by seven pixels, which turns every camera by half a degree.
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() < 2.0
    assert ours[:, 2, 1].min() > 0.7, "photos are taken upright"


def aligned(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The turn of the similarity that fits our positions to theirs, and what it misses them by.

    Source: Umeyama 1991, "Least-squares estimation of transformation parameters".
    """
    x, y = (poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0) for poses in (ours, theirs))
    left, stretch, right = np.linalg.svd(y.T @ x)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ np.diag(signs) @ right
    scale = (stretch * signs).sum() / (x**2).sum()
    return turn, np.linalg.norm(scale * x @ turn.T - y, axis=-1)
