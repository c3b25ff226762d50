# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tab shows in each state, drawn on a layout that knows what Blender has."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import recording_layout as recorded
from neural_fields.addon import panel_state, run_catalog, session
from neural_fields.addon.panels import capture, live_training, output, runs, shapes, training
from neural_fields.addon.problems import Fix, Problem
from neural_fields.addon.training_notes import Sample
from neural_fields.addon.worker.protocol import messages

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120), pytest.mark.usefixtures("studio")]

PANELS = Path(capture.__file__).parent


@pytest.fixture(autouse=True)
def clean(bpy: ModuleType) -> Iterator[None]:
    panel_state.unregister()
    shown = bpy.context.window_manager.neural_fields
    shown.runs.clear()
    yield
    for name in list(shown.bl_rna.properties):
        if name.identifier not in ("rna_type", "name"):
            shown.property_unset(name.identifier)
    panel_state.unregister()


def all_panels(bpy: ModuleType) -> list[Any]:
    names = [name for name in dir(bpy.types) if name.startswith("NEURALFIELDS_PT_")]
    return [getattr(bpy.types, name) for name in names]


def trained(bpy: ModuleType, tmp_path: Path) -> Any:
    run = tmp_path / "run"
    bpy.ops.neural_fields.train(capture=str(tmp_path), run=str(run), method="nerf")
    return next(item for item in bpy.data.objects if item.neural_field.run)


def hanging(bpy: ModuleType, tmp_path: Path) -> session.JobRecord:
    job = messages.Train(
        job_id=session.new_job_id(), capture="/a", run=str(tmp_path / "run"), method="hang"
    )
    target = session.Target(scene=bpy.context.scene.session_uid)
    record = session.submit(job, "Train", target)
    while record.progress is None or record.progress.done < 2:
        session.pump(0.05)
    return record


def test_there_is_one_tab_in_work_order(bpy: ModuleType) -> None:
    panels = all_panels(bpy)
    places = {(one.bl_space_type, one.bl_region_type, one.bl_category) for one in panels}
    assert places == {("VIEW_3D", "UI", "Neural Fields")}
    top = [one for one in panels if not getattr(one, "bl_parent_id", "")]
    ours = [one for one in top if one.bl_label in ("Capture", "Train", "Shapes", "Output")]
    order = [one.bl_label for one in sorted(ours, key=lambda one: one.bl_order)]
    assert order == ["Capture", "Train", "Shapes", "Output"]
    parents = {one.bl_parent_id for one in panels if getattr(one, "bl_parent_id", "")}
    assert parents <= {one.bl_idname for one in panels}


def test_every_operator_can_be_reached_from_some_panel(bpy: ModuleType) -> None:
    """By its id in what panels, problems' buttons and preferences are drawn by."""
    drawing = ("problems.py", "preferences.py", "environment_drawing.py")
    files = [*PANELS.glob("*.py"), *(PANELS.parent / name for name in drawing)]
    named = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    missing = {f"neural_fields.{name}" for name in dir(bpy.ops.neural_fields)} - named
    assert missing == set()


def test_every_panel_draws_in_an_empty_file(bpy: ModuleType) -> None:
    for panel in all_panels(bpy):
        recorded.draw(panel)
        if hasattr(panel, "draw_header"):
            recorded.draw(panel, method="draw_header")


def test_before_anything_was_done_the_way_to_begin_is_shown(bpy: ModuleType) -> None:
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert recorded.operators(drawn) == ["neural_fields.train", "neural_fields.try_it"]
    assert "method_choice" in recorded.properties(drawn)
    empty = recorded.draw(output.NEURALFIELDS_PT_output)
    assert "Select a neural field" in recorded.texts(empty)


def test_while_it_trains_there_are_figures_and_three_ways_to_stop(
    bpy: ModuleType, tmp_path: Path
) -> None:
    record = hanging(bpy, tmp_path)
    record.progress = messages.Progress(
        job_id=record.job.job_id, stage="training", done=30, total=120, unit="seconds",
        seconds=30, eta_s=90, loss=0.0123, step=4321,
    )  # fmt: skip
    record.training.curve.append(Sample(0.2, 0.02, 24.56))
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    (bar,) = recorded.called(drawn, "progress")
    assert bar.arguments["factor"] == 0.25
    assert bar.text == "Training 25% · 1 min 30 s left"
    text = recorded.texts(drawn)
    for figure in ("4,321", "30 s", "0.0123", "24.6 dB"):
        assert figure in text
    assert recorded.operators(drawn) == [
        "neural_fields.stop_training",
        "neural_fields.pause_training",
        "neural_fields.discard_training",
    ]
    assert "neural_fields.train" not in recorded.operators(drawn)
    session.cancel(record.job.job_id)
    stopping = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "Stopping" in recorded.texts(stopping)
    session.wait(record.job.job_id)


def test_before_the_worker_answers_it_says_that_it_starts(bpy: ModuleType, tmp_path: Path) -> None:
    job = messages.Train(job_id="early", capture="/a", run=str(tmp_path / "r"), method="hang")
    session.submit(job, "Train")
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "Starting the worker" in recorded.texts(drawn)
    session.stop()


def test_a_paused_training_offers_to_go_on(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUN", str(tmp_path / "run"))
    hanging(bpy, tmp_path)
    bpy.ops.neural_fields.pause_training()
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "run is paused" in recorded.texts(drawn)
    (button,) = [
        call
        for call in recorded.called(drawn, "operator")
        if call.arguments["operator"] == "neural_fields.resume_run"
    ]
    assert button.result.run == str(tmp_path / "run")


def test_a_failure_says_what_happened_and_what_to_do_until_it_is_dismissed(
    bpy: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError):
        bpy.ops.neural_fields.train(capture="/a", run=str(tmp_path / "run"), method="fail")
    text = recorded.texts(recorded.draw(training.NEURALFIELDS_PT_training))
    assert "No luck." in text
    assert "Try again." in text
    assert "No luck." not in recorded.texts(recorded.draw(capture.NEURALFIELDS_PT_capture))
    bpy.ops.neural_fields.dismiss(area="TRAINING")
    text = recorded.texts(recorded.draw(training.NEURALFIELDS_PT_training))
    assert "No luck." not in text


def test_a_refused_button_leaves_its_reason_and_a_fix(bpy: ModuleType) -> None:
    with pytest.raises(RuntimeError):
        bpy.ops.neural_fields.train()
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "no capture to learn from" in recorded.texts(drawn)
    assert "neural_fields.import_capture" in recorded.operators(drawn)
    fix = Fix("neural_fields.not_there", "Fix")
    panel_state.note_problem("training", Problem("Odd.", "", fix))
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "neural_fields.not_there" not in recorded.operators(drawn)


def test_a_problem_goes_when_the_next_job_of_its_part_starts(
    bpy: ModuleType, tmp_path: Path
) -> None:
    panel_state.note_problem("training", Problem("Odd."))
    panel_state.note_problem("output", Problem("Other."))
    trained(bpy, tmp_path)
    assert list(panel_state.get().problems) == ["output"]


def test_what_was_done_is_told_with_its_quality(bpy: ModuleType, tmp_path: Path) -> None:
    trained(bpy, tmp_path)
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "run: done in 0 s, 21.5 dB" in recorded.texts(drawn)
    assert "the fake learns nothing" in recorded.texts(drawn)
    text = recorded.texts(recorded.draw(output.NEURALFIELDS_PT_output))
    assert "Neural Field · NeRF · 21.5 dB" in text
    mesh = recorded.draw(output.NEURALFIELDS_PT_output_mesh)
    expected = ["neural_fields.add_bounds", "neural_fields.extract_mesh"]
    assert recorded.operators(mesh) == expected
    bpy.ops.neural_fields.extract_mesh(resolution=16)
    assert "Extract Again" in recorded.texts(recorded.draw(output.NEURALFIELDS_PT_output_mesh))


def test_motion_is_shown_of_fields_that_move_only(bpy: ModuleType, tmp_path: Path) -> None:
    field = trained(bpy, tmp_path)
    assert recorded.draw(output.NEURALFIELDS_PT_output_motion).calls == []
    field.neural_field.moves = True
    field.neural_field.use_retime = True
    drawn = recorded.draw(output.NEURALFIELDS_PT_output_motion)
    assert "field_time" in recorded.properties(drawn)
    for panel, button in (
        (output.NEURALFIELDS_PT_mesh_sequence, "extract_mesh_sequence"),
        (output.NEURALFIELDS_PT_bake_motion, "bake_motion"),
    ):
        assert recorded.operators(recorded.draw(panel)) == [f"neural_fields.{button}"]


def test_another_scene_shows_its_own_settings_and_field(bpy: ModuleType, tmp_path: Path) -> None:
    trained(bpy, tmp_path)
    bpy.context.scene.neural_fields.training.capture = "/mine"
    other = bpy.data.scenes.new("Other")
    with bpy.context.temp_override(scene=other, view_layer=other.view_layers[0]):
        drawn = recorded.draw(output.NEURALFIELDS_PT_output)
        assert "Select a neural field" in recorded.texts(drawn)
        (shown,) = [
            call.arguments["data"]
            for call in recorded.called(recorded.draw(training.NEURALFIELDS_PT_training), "prop")
            if call.arguments["property"] == "capture"
        ]
        assert shown.capture == ""


def test_a_shape_shows_its_sliders(bpy: ModuleType) -> None:
    empty = bpy.data.objects.new("Neural Shape", None)
    bpy.context.scene.collection.objects.link(empty)
    settings = empty.neural_field.shape
    settings.run, settings.method = "/run", "structured_implicit"
    for name in ("chair", "table"):
        settings.shapes.add().name = name
    drawn = recorded.draw(shapes.NEURALFIELDS_PT_family)
    assert {"shape", "blend_to", "blend", "axes", "level"} <= set(recorded.properties(drawn))
    assert recorded.operators(drawn) == [
        "neural_fields.update_shape",
        "neural_fields.show_elements",
    ]
    found = recorded.draw(shapes.NEURALFIELDS_PT_fit_latent)
    assert recorded.operators(found) == ["neural_fields.fit_latent"]


def test_a_capture_that_runs_shows_how_far_it_is_and_nothing_else_to_press(
    bpy: ModuleType,
) -> None:
    shown = bpy.context.window_manager.neural_fields
    shown.capture_total, shown.capture_done, shown.capture_seconds = 80, 20, 30.0
    drawn = recorded.draw(capture.NEURALFIELDS_PT_capture)
    (bar,) = recorded.called(drawn, "progress")
    assert bar.text == "20 of 80 · 1 min 30 s left"
    assert recorded.operators(drawn) == ["neural_fields.stop_capture"]
    assert not bpy.ops.neural_fields.render_capture.poll()
    assert bpy.ops.neural_fields.stop_capture() == {"FINISHED"}
    stopping = recorded.texts(recorded.draw(capture.NEURALFIELDS_PT_capture))
    assert "Stopping after this picture" in stopping


def test_an_unfinished_capture_can_be_resumed(bpy: ModuleType) -> None:
    bpy.context.scene.neural_fields.capture.unfinished = "/somewhere"
    drawn = recorded.draw(capture.NEURALFIELDS_PT_capture)
    buttons = [
        (call.text, call.result.given)
        for call in recorded.called(drawn, "operator")
        if call.arguments["operator"] == "neural_fields.render_capture"
    ]
    assert buttons == [("Resume", {"resume": True}), ("Start Anew", {})]


def test_the_list_of_runs_shows_state_quality_and_time(bpy: ModuleType, tmp_path: Path) -> None:
    trained(bpy, tmp_path)
    record = '{"state": "cancelled", "method": "nerf", "psnr": 27.25, "seconds": 75, "meshes": []}'
    (tmp_path / "run" / "run.json").write_text(record, encoding="utf-8")
    (tmp_path / "run" / "checkpoints" / "last.json").write_text("{}", encoding="utf-8")
    run_catalog.refresh()
    shown = bpy.context.window_manager.neural_fields
    (run,) = [one for one in shown.runs if one.path == str(tmp_path / "run")]
    layout = recorded.RecordingLayout()
    kind = recorded.plain(runs.NEURALFIELDS_UL_runs)
    kind().draw_item(bpy.context, layout, shown, run, 0, shown, "run_index")
    assert "27.2 dB" in recorded.texts(layout)
    assert "1 min 15 s" in recorded.texts(layout)
    shown.run_index = list(shown.runs).index(run)
    drawn = recorded.draw(runs.NEURALFIELDS_PT_runs)
    assert "NeRF · It was stopped, and can be resumed" in recorded.texts(drawn)
    assert {"neural_fields.resume_run", "neural_fields.use_run_settings"} <= set(
        recorded.operators(drawn)
    )


def test_a_missing_run_offers_to_be_relinked(bpy: ModuleType, tmp_path: Path) -> None:
    trained(bpy, tmp_path)
    shutil.rmtree(tmp_path / "run")
    run_catalog.refresh()
    shown = bpy.context.window_manager.neural_fields
    states = [one.state for one in shown.runs]
    shown.run_index = states.index("MISSING")
    drawn = recorded.draw(runs.NEURALFIELDS_PT_runs)
    assert recorded.operators(drawn)[-1] == "neural_fields.relink_run"
    assert "neural_fields.resume_run" not in recorded.operators(drawn)


def test_the_sample_shows_its_stage(bpy: ModuleType) -> None:
    shown = bpy.context.window_manager.neural_fields
    shown.try_it_stage, shown.try_it_share = "Learning", 0.5
    drawn = recorded.draw(training.NEURALFIELDS_PT_training)
    assert "Learning" in recorded.texts(drawn)
    assert "neural_fields.stop_try_it" in recorded.operators(drawn)
    assert "neural_fields.try_it" not in recorded.operators(drawn)


def test_pictures_are_shown_once_there_are_any(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = recorded.RecordingLayout()
    live_training.draw_pictures(layout)
    assert layout.calls == []
    monkeypatch.setattr(live_training.live_pictures, "icon_of", lambda _name: 7)
    live_training.draw_pictures(layout)
    icons = [call.arguments["icon_value"] for call in recorded.called(layout, "template_icon")]
    assert icons == [7, 7]
