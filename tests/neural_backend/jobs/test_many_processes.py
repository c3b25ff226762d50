# SPDX-License-Identifier: GPL-3.0-or-later
import json
from dataclasses import replace
from pathlib import Path

import pytest
import trimesh

from neural_backend.jobs import start, train
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.jobs.view_files import picture_size
from neural_backend.kernels import process_group
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import Train
from tests.analytic_motion import make_moving_run
from tests.neural_backend.jobs import work_together
from tests.tiny_capture import write_tiny_capture
from tests.torchrun import torchrun

SMALL = ["levels=4", "log2_entries=10", "finest=32", "samples_per_step=1024"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which two processes have done several jobs, and what they said."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "moving").mkdir()
    capture = write_tiny_capture(folder / "capture", num_views=9, size=16)
    moving = make_moving_run(folder / "moving", scene="box", rise=0.5)
    for number in range(3):
        trimesh.creation.icosphere(1, 0.5 + 0.2 * number).export(folder / f"ball_{number}.ply")
    balls = [folder / f"ball_{number}.ply" for number in range(3)]
    train = ["train", capture, folder / "run", "--method", "instant_ngp", "--settings", *SMALL]
    steps = ["--samples", "200", "--settings", "width=16", "latent_dim=4", "near=16", "uniform=8"]
    lines = [
        [*train, "--steps", "6", "--evaluations", "1"],
        ["train", capture, folder / "run", "--resume", "--steps", "9"],
        ["render-views", folder / "run", "--video"],
        ["extract-mesh-sequence", moving.path, "--resolution", "12", "--keep-unseen"],
        ["fit-shape", folder / "family", *balls, "--steps", "4", *steps],
        ["train", capture, folder / "voxels", "--method", "voxel_grid"],
        ["evaluate", folder / "run"],
    ]
    words = [word for line in lines for word in [*line, "then"]][:-1]
    return folder, moving, torchrun(work_together.__file__, *words)


def test_all_processes_end_each_job_alike(finished) -> None:
    _, _, said = finished
    for number in range(2):
        assert f"process {number}: [0, 0, 0, 0, 0, 1, 1]" in said.stdout, said.stderr


def test_the_first_process_alone_writes_the_run_and_speaks_of_it(finished) -> None:
    folder, _, said = finished
    record = RunFolder.open(folder / "run").read_record()
    assert (record.state, record.steps) == ("trained", 9)
    assert record.psnr is not None
    metrics = RunFolder.open(folder / "run").read_metrics()
    steps = [line["step"] for line in metrics]
    assert steps == sorted(set(steps))
    assert said.stdout.count("dB") == 2


def test_views_are_shared_out_and_made_into_one_video(finished) -> None:
    folder, _, _ = finished
    views = folder / "run" / "outputs" / "views"
    pictures = sorted(views.glob("view_*.png"))
    assert [picture.name for picture in pictures] == ["view_0001.png", "view_0002.png"]
    assert {picture_size(picture) for picture in pictures} == {(16, 16)}
    assert (views / "views.mp4").stat().st_size > 0


def test_meshes_of_all_frames_are_shared_out_and_noted(finished) -> None:
    _, moving, _ = finished
    meshes = moving.outputs / "mesh_sequence"
    plan = json.loads((meshes / "sequence.json").read_text(encoding="utf-8"))
    assert plan["times"] == {"11": 0.0, "12": 0.25, "13": 0.5, "14": 0.75, "15": 1.0}
    heights = [
        trimesh.load_mesh(meshes / f"mesh_{frame:04d}.ply").bounds[:, 2].mean()
        for frame in range(11, 16)
    ]
    assert heights == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5], abs=0.03)


def test_a_family_of_shapes_is_learned_together(finished) -> None:
    folder, _, _ = finished
    record = RunFolder.open(folder / "family").read_record()
    assert (record.state, record.method, record.steps) == ("trained", "deep_sdf", 4)
    assert len(record.meshes) == 3
    assert all((folder / "family" / mesh).is_file() for mesh in map(Path, record.meshes))


def test_a_run_of_one_process_is_not_resumed_by_several(tmp_path: Path, monkeypatch) -> None:
    capture = write_tiny_capture(tmp_path / "capture")
    job = Train(capture=str(capture), run=str(tmp_path / "run"), method="voxel_grid", steps=2)
    list(start(job))
    monkeypatch.setattr(process_group, "size", lambda: 2)
    with pytest.raises(JobError, match="voxel_grid is learned by one process, and there are 2"):
        list(train.run(replace(job, steps=3, resume=True)))
    assert RunFolder.open(job.run).read_record().state == "trained"


def test_what_one_process_does_is_refused_in_a_sentence(finished) -> None:
    folder, _, said = finished
    assert "voxel_grid is learned by one process, and there are 2." in said.stderr
    assert "This job is one process's" in said.stderr
    assert not (folder / "voxels").exists()
