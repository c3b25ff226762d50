# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from neural_backend.jobs import start
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import (
    ExtractMesh,
    ExtractMeshSequence,
    MeshSequenceReady,
    Progress,
    Warned,
)
from tests.analytic_motion import make_moving_run
from tests.analytic_run import make_run

OPTIONS = {"resolution": 20, "keep_unseen": True}


def extract(run: RunFolder, **options) -> tuple[MeshSequenceReady, list]:
    job = ExtractMeshSequence(run=str(run.path), **(OPTIONS | options))
    events = list(start(job))
    assert isinstance(events[-1], MeshSequenceReady)
    return events[-1], events


def load(file: str | Path) -> trimesh.Trimesh:
    return trimesh.load_mesh(file, process=False)


def made(events: list) -> int:
    """How many meshes were made, not kept."""
    done = [event.done for event in events if isinstance(event, Progress) and event.eta_s >= 0]
    return int(max(done, default=0))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_moving_run(tmp_path, scene="box", rise=0.5)


def test_each_frame_of_the_captures_time_map_has_the_mesh_of_its_time(run: RunFolder) -> None:
    ready, events = extract(run)
    assert ready.frames == (11, 12, 13, 14, 15)
    assert ready.times == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert [Path(file).name for file in ready.files] == [f"mesh_00{n}.ply" for n in ready.frames]
    heights = [load(file).bounds[:, 2].mean() for file in ready.files]
    np.testing.assert_allclose(heights, [0.0, 0.125, 0.25, 0.375, 0.5], atol=0.01)
    for file in ready.files:
        mesh = load(file)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(8 * 0.5 * 0.3 * 0.4, rel=0.1)
        assert mesh.visual.defined
    assert ready.num_vertices == max(len(load(file).vertices) for file in ready.files)
    assert made(events) == 5
    assert events[-2].done == events[-2].total


def test_a_mesh_of_the_sequence_is_the_one_that_extract_mesh_makes(
    run: RunFolder, tmp_path: Path
) -> None:
    ready, _ = extract(run, frames=(3,), times=(0.25,), level=50.0)
    single = tmp_path / "one.ply"
    options = OPTIONS | {"level": 50.0, "time": 0.25, "output": str(single)}
    list(start(ExtractMesh(run=str(run.path), **options)))
    assert Path(ready.files[0]).read_bytes() == single.read_bytes()


def test_all_meshes_share_one_level(run: RunFolder) -> None:
    ready, events = extract(run)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages.count("choosing the level") == 1
    assert json.loads((Path(ready.output) / "sequence.json").read_text())["level"] == ready.level
    given, _ = extract(run, level=123.0)
    assert given.level == 123.0


def test_meshes_that_are_there_are_kept_until_what_they_are_made_of_changes(run: RunFolder) -> None:
    first, _ = extract(run, frames=(1, 2), times=(0.0, 0.5), level=50.0)
    _, events = extract(run, frames=(1, 2, 3), times=(0.0, 0.5, 1.0), level=50.0)
    assert made(events) == 1
    kept = Path(first.files[0]).stat().st_mtime_ns
    _, events = extract(run, frames=(1, 2, 3), times=(0.0, 0.5, 0.9), level=50.0)
    assert made(events) == 1, "a frame whose time changed"
    assert Path(first.files[0]).stat().st_mtime_ns == kept
    Path(first.files[1]).unlink()
    _, events = extract(run, frames=(1, 2, 3), times=(0.0, 0.5, 0.9), level=50.0)
    assert made(events) == 1, "a file that was lost"
    _, events = extract(run, frames=(1, 2), times=(0.0, 0.5), resolution=16, level=50.0)
    assert made(events) == 2, "another resolution"
    _, events = extract(
        run, frames=(1, 2), times=(0.0, 0.5), resolution=16, level=50.0, overwrite=True
    )
    assert made(events) == 2


def test_a_sequence_that_was_stopped_goes_on_at_the_level_it_began_with(run: RunFolder) -> None:
    events = start(ExtractMeshSequence(run=str(run.path), **OPTIONS))
    for event in events:
        if isinstance(event, Progress) and event.stage == "meshes" and event.done == 2:
            break
    events.close()
    folder = run.outputs / "mesh_sequence"
    level = json.loads((folder / "sequence.json").read_text())["level"]
    assert sorted(path.name for path in folder.glob("*.ply")) == ["mesh_0011.ply", "mesh_0012.ply"]
    ready, events = extract(run)
    assert made(events) == 3
    assert ready.level == level


def test_a_damaged_plan_costs_time_and_nothing_else(run: RunFolder) -> None:
    ready, _ = extract(run, frames=(1,), times=(0.0,), level=50.0)
    (Path(ready.output) / "sequence.json").write_text("{")
    _, events = extract(run, frames=(1,), times=(0.0,), level=50.0)
    assert made(events) == 1


def test_what_leaves_the_scene_has_an_empty_mesh_from_then_on(tmp_path: Path) -> None:
    run = make_moving_run(tmp_path, leaves=True)
    ready, _ = extract(run, level=50.0)
    sizes = [
        len(load(file).faces) if Path(file).stat().st_size > 400 else 0 for file in ready.files
    ]
    assert [size > 0 for size in sizes] == [True, True, False, False, False]
    with pytest.raises(JobError, match="at any of the 1 moments"):
        extract(run, frames=(1,), times=(0.9,), level=50.0)


def test_a_field_that_does_not_move_says_so(tmp_path: Path) -> None:
    _, events = extract(make_run(tmp_path), times=(0.0,))
    assert any("does not move" in event.message for event in events if isinstance(event, Warned))


def test_a_capture_without_a_time_map_counts_its_own_times(tmp_path: Path) -> None:
    run = make_moving_run(tmp_path, time_map=None, num_views=3)
    ready, _ = extract(run)
    assert (ready.frames, ready.times) == ((1, 2, 3), (0.0, 0.5, 1.0))
    with pytest.raises(JobError, match="does not say at which frames"):
        extract(run, frames=(5,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": (1, 2), "times": (0.5,)}, "2 frames and 1 times"),
        ({"times": (1.5,)}, r"cannot be 1\.5"),
        ({"frames": (1, 1), "times": (0.0, 1.0)}, "named twice"),
        ({"resolution": 1}, "from 2 to"),
        ({"crop_min": (1.0,)}, "three numbers"),
        ({"level": 1e9}, "no surface"),
    ],
)
def test_impossible_options_are_explained(run: RunFolder, options: dict, message: str) -> None:
    with pytest.raises(JobError, match=message):
        extract(run, **options)
