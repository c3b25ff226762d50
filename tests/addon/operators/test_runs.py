# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of runs: found again, renamed, deleted, relinked, taken up again."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from neural_fields.addon import preferences, run_catalog, session
from neural_fields.addon.worker.protocol import messages

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120), pytest.mark.usefixtures("studio")]


def write_run(folder: Path, **values: object) -> Path:
    checkpoint = folder / "checkpoints" / "step_1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text('{"method": "nerf"}', encoding="utf-8")
    last = checkpoint.with_name("last.json")
    last.write_text('{"checkpoint": "step_1"}', encoding="utf-8")
    record = {"state": "trained", "method": "nerf", "preset": "final", "config": {"steps": 50}}
    (folder / "run.json").write_text(json.dumps(record | values), encoding="utf-8")
    return folder


@pytest.fixture
def project(bpy: ModuleType, tmp_path: Path) -> Path:
    """A saved file with a capture and a runs folder beside it."""
    folder = tmp_path / "Stück 1"
    (folder / "capture").mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    return folder


def runs_of(bpy: ModuleType) -> dict[str, Any]:
    run_catalog.refresh()
    return {run.name: run for run in bpy.context.window_manager.neural_fields.runs}


def choose(bpy: ModuleType, name: str) -> None:
    shown = bpy.context.window_manager.neural_fields
    shown.run_index = list(runs_of(bpy)).index(name)


def add_field(bpy: ModuleType, run: Path) -> Any:
    bpy.ops.neural_fields.add_field(run=str(run))
    return bpy.context.object


def test_the_runs_folder_is_read_when_a_file_is_opened(bpy: ModuleType, project: Path) -> None:
    write_run(project / "scene_neural_fields" / "first", psnr=30.0)
    bpy.ops.wm.open_mainfile(filepath=str(project / "scene.blend"))
    (run,) = bpy.context.window_manager.neural_fields.runs
    assert (run.name, run.state, run.psnr) == ("first", "TRAINED", 30.0)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    names = [run.name for run in bpy.context.window_manager.neural_fields.runs]
    assert "first" not in names


def test_a_training_that_blender_crashed_in_is_found_again_and_resumed(
    bpy: ModuleType, project: Path
) -> None:
    """The process is gone, and the record still says that it trains."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    run = write_run(
        project / "scene_neural_fields" / "crashed",
        state="training",
        process=child.pid,
        capture="../../capture",
        settings=["a=1"],
    )
    bpy.ops.wm.open_mainfile(filepath=str(project / "scene.blend"))
    (shown,) = bpy.context.window_manager.neural_fields.runs
    assert (shown.state, shown.can_resume) == ("INTERRUPTED", True)
    assert bpy.ops.neural_fields.resume_run() == {"FINISHED"}
    job = session.jobs()[-1].job
    assert (job.run, job.resume, job.method, job.settings) == (str(run), True, "auto", ())
    assert job.capture == str(project / "capture")
    assert (job.steps, job.seconds) == (0, 0.0)


def test_our_own_worker_knows_which_of_its_runs_it_trains(bpy: ModuleType, project: Path) -> None:
    run = project / "scene_neural_fields" / "now"
    job = messages.Train(job_id="now", capture="/a", run=str(run), method="hang")
    record = session.submit(job, "Train")
    while record.progress is None or record.progress.done < 2:
        session.pump(0.05)
    record_file = Path(job.run) / "run.json"
    while not (record_file.is_file() and record_file.stat().st_size):
        session.pump(0.05)
    values = {"state": "training", "process": session.worker_process()}
    (run / "run.json").write_text(json.dumps(values), encoding="utf-8")
    assert runs_of(bpy)["now"].state == "TRAINING"
    with pytest.raises(RuntimeError, match="in use"):
        bpy.ops.neural_fields.delete_run(run=str(run))
    with pytest.raises(RuntimeError, match="in use"):
        bpy.ops.neural_fields.rename_run(run=str(run), name="other")
    session.cancel("now")
    session.wait("now")
    assert runs_of(bpy)["now"].state == "INTERRUPTED", "the job is over, whatever the record says"


def test_renaming_moves_the_folder_and_all_that_names_it(bpy: ModuleType, project: Path) -> None:
    run = write_run(project / "scene_neural_fields" / "old")
    field = add_field(bpy, run)
    picture = run / "outputs" / "view.png"
    picture.parent.mkdir()
    image = bpy.data.images.new("view", 2, 2)
    image.filepath_raw, image.file_format = str(picture), "PNG"
    image.save()
    loaded = bpy.data.images.load(str(picture))
    bpy.context.scene.neural_fields.training.run = str(run)
    runs_of(bpy)["old"].title = "Käfer"
    moved = run.with_name("Käfer")
    assert moved.is_dir()
    assert not run.exists()
    assert field.neural_field.run == "//scene_neural_fields/Käfer"
    assert Path(bpy.path.abspath(loaded.filepath)) == moved / "outputs" / "view.png"
    assert bpy.context.scene.neural_fields.training.run == "//scene_neural_fields/Käfer"
    bpy.ops.neural_fields.rename_run(run=str(moved), name="again")
    assert field.neural_field.run == "//scene_neural_fields/again"


def test_a_name_that_is_taken_is_refused_in_the_panel(bpy: ModuleType, project: Path) -> None:
    from neural_fields.addon import panel_state

    write_run(project / "scene_neural_fields" / "a")
    write_run(project / "scene_neural_fields" / "b")
    run = runs_of(bpy)["a"]
    run.title = "b"
    assert run.title == "a"
    assert "already something" in panel_state.get().problems["training"].message


def test_deleting_keeps_what_the_file_still_shows(bpy: ModuleType, project: Path) -> None:
    run = write_run(project / "scene_neural_fields" / "doomed")
    field = add_field(bpy, run)
    picture = run / "outputs" / "views" / "view_0001.png"
    picture.parent.mkdir(parents=True)
    image = bpy.data.images.new("view", 2, 2)
    image.filepath_raw, image.file_format = str(picture), "PNG"
    image.save()
    loaded = bpy.data.images.load(str(picture))
    choose(bpy, "doomed")
    assert bpy.ops.neural_fields.delete_run() == {"FINISHED"}
    assert not run.exists()
    assert Path(bpy.path.abspath(loaded.filepath)).is_file()
    assert field.name in bpy.context.scene.objects
    assert field.neural_field.run == ""
    assert runs_of(bpy) == {}


def test_a_folder_that_is_no_run_is_never_deleted(bpy: ModuleType, project: Path) -> None:
    with pytest.raises(RuntimeError, match="no run folder"):
        bpy.ops.neural_fields.delete_run(run=str(project))
    assert (project / "scene.blend").is_file()


def test_results_survive_moving_the_project_and_what_was_left_can_be_relinked(
    bpy: ModuleType, project: Path, tmp_path: Path
) -> None:
    inside = write_run(project / "scene_neural_fields" / "inside")
    outside = write_run(tmp_path / "elsewhere" / "outside")
    fields = [add_field(bpy, inside), add_field(bpy, outside)]
    names = [field.name for field in fields]
    bpy.ops.wm.save_mainfile()
    moved = project.rename(tmp_path / "umgezogen")
    gone = outside.rename(tmp_path / "there")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "scene.blend"))
    states = {run.name: run.state for run in bpy.context.window_manager.neural_fields.runs}
    assert states == {"inside": "TRAINED", "outside": "MISSING"}
    choose(bpy, "outside")
    with pytest.raises(RuntimeError, match="is no run"):
        bpy.ops.neural_fields.relink_run(directory=str(moved))
    bpy.ops.neural_fields.relink_run(directory=str(gone))
    stored = [bpy.data.objects[name].neural_field.run for name in names]
    assert [Path(bpy.path.abspath(one)).resolve() for one in stored] == [
        moved / "scene_neural_fields" / "inside",
        gone,
    ]
    assert {run.state for run in runs_of(bpy).values()} == {"TRAINED"}


def test_the_settings_of_a_run_can_be_used_again(bpy: ModuleType, project: Path) -> None:
    run = write_run(
        project / "scene_neural_fields" / "good",
        capture="../../capture",
        settings=["a=1", "b=2"],
        surfaces=True,
        seed=7,
        budget_steps=50,
        image_width=99,
        hold_out=5,
    )
    training = bpy.context.scene.neural_fields.training
    training.steps, training.resume = 3, True
    bpy.ops.neural_fields.use_run_settings(run=str(run))
    assert training.capture == "//capture"
    assert (training.method, training.preset, training.seed) == ("nerf", "final", 7)
    assert training.settings == "a=1 b=2"
    assert training.surfaces
    assert (training.steps, training.resume) == (0, False), "the preset's own budget"
    assert (training.image_width, training.hold_out) == (99, 5)
    assert training.method_choice == "nerf"
    (run / "run.json").write_text('{"state": "trained"}', encoding="utf-8")
    with pytest.raises(RuntimeError, match="no settings"):
        bpy.ops.neural_fields.use_run_settings(run=str(run))


def test_without_a_checkpoint_or_a_capture_nothing_is_resumed(
    bpy: ModuleType, project: Path
) -> None:
    run = write_run(project / "scene_neural_fields" / "bare", state="failed", capture="../gone")
    with pytest.raises(RuntimeError, match="is not at"):
        bpy.ops.neural_fields.resume_run(run=str(run))
    (run / "checkpoints" / "last.json").unlink()
    with pytest.raises(RuntimeError, match="no checkpoint"):
        bpy.ops.neural_fields.resume_run(run=str(run))
    bpy.context.window_manager.neural_fields.runs.clear()
    with pytest.raises(RuntimeError, match="No run is chosen"):
        bpy.ops.neural_fields.resume_run()


def test_a_run_is_read_by_a_thread_where_there_is_a_window(bpy: ModuleType, project: Path) -> None:
    """The thread reads; only the timer, on the main thread, touches Blender."""
    write_run(project / "scene_neural_fields" / "slow")
    shown = bpy.context.window_manager.neural_fields
    shown.runs.clear()
    run_catalog._read([preferences.runs_folder()], set(), set())
    assert len(shown.runs) == 0
    assert run_catalog._on_timer() is not None
    assert [run.name for run in shown.runs] == ["slow"]
    assert run_catalog._on_timer() is None
    assert Path(shown.runs[0].path).is_absolute()


def test_a_linked_field_cannot_be_changed_and_says_so(bpy: ModuleType, project: Path) -> None:
    run = write_run(project / "scene_neural_fields" / "shared")
    add_field(bpy, run).name = "Shared Field"
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(project / "scene.blend"), link=True) as (_, linked):
        linked.objects = ["Shared Field"]
    (field,) = linked.objects
    bpy.context.scene.collection.objects.link(field)
    bpy.context.view_layer.objects.active = field
    assert not bpy.ops.neural_fields.extract_mesh.poll()
    assert bpy.ops.neural_fields.render_views.poll(), "it changes nothing of the field"
    with pytest.raises(RuntimeError, match="linked from another file"):
        bpy.ops.neural_fields.extract_mesh()
    assert [one.name for one in runs_of(bpy).values() if one.state == "TRAINED"] == ["shared"]
