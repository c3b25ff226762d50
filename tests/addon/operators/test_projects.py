# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs and the file they lie in: undo, cancel, moving, libraries, names of all scripts."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat, session
from neural_fields.addon.scene.chosen import run_of
from neural_fields.addon.worker.protocol import messages

from tests.addon.analytic_runs import make_moving_run
from tests.addon.operators.real_runs import (
    add_camera,
    add_field,
    real_worker,
    sent,
    train,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]

SMALL = {"resolution": 12, "level": 50.0, "keep_unseen": True}
EVERYWHERE = {
    "as_background": True,
    "as_plane": True,
    "as_clip": True,
    "as_strip": True,
    "as_composite": True,
}


def has_vdb() -> bool:
    return compat.vdb_module() is not None


def make_mesh(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.extract_mesh(texture_size=64, keep_faces=0.5, **SMALL)


def make_volume(bpy: ModuleType) -> None:
    if not has_vdb():
        pytest.skip("this Blender cannot write OpenVDB")
    bpy.ops.neural_fields.extract_volume(resolution=12)


def make_views(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.render_views(**EVERYWHERE)


def make_sequence(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.extract_mesh_sequence(**SMALL)


def make_motion(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.bake_motion(resolution=12, level=50.0)


def composite(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.composite()


OUTPUTS = [make_mesh, make_volume, make_views, make_sequence, make_motion, composite]
JOBS = [make_mesh, make_volume, make_views, make_sequence, make_motion]


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_run(tmp_path_factory.mktemp("moving"), turn=0.0, rise=0.3, scene="box")


@pytest.fixture
def field(bpy: ModuleType, moving: Path) -> Any:
    add_camera(bpy, (11, 13), size=16)
    return add_field(bpy, moving)


def counts(bpy: ModuleType) -> dict[str, int]:
    kept = ("objects", "meshes", "volumes", "scenes", "materials")
    numbers = {name: len(getattr(bpy.data, name)) for name in kept}
    scene = bpy.data.scenes["Scene"]
    tree = compat.scene_compositor(scene)
    numbers["nodes"] = 0 if tree is None else len(tree.nodes)
    editor = scene.sequence_editor
    numbers["strips"] = 0 if editor is None else len(compat.strips_of(scene))
    numbers["backgrounds"] = len(scene.camera.data.background_images)
    return numbers


def the_field(bpy: ModuleType) -> Any:
    return next(item for item in bpy.data.objects if item.neural_field.run)


@pytest.mark.parametrize("make", OUTPUTS, ids=lambda make: make.__name__)
def test_undo_takes_a_result_out_redo_brings_it_back_and_both_can_be_followed_by_another(
    bpy: ModuleType, field: Any, make: Callable[[ModuleType], None]
) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = counts(bpy)
    make(bpy)
    bpy.ops.ed.undo_push(message="made")
    made = counts(bpy)
    assert made != before
    bpy.ops.ed.undo()
    assert counts(bpy) == before
    bpy.ops.ed.redo()
    assert counts(bpy) == made
    bpy.ops.ed.undo()
    bpy.context.view_layer.objects.active = the_field(bpy)
    make(bpy)
    assert counts(bpy) == made
    bpy.context.view_layer.objects.active = the_field(bpy)
    make(bpy)
    assert {name: counts(bpy)[name] for name in ("objects", "scenes", "nodes", "strips")} == {
        name: made[name] for name in ("objects", "scenes", "nodes", "strips")
    }


@contextmanager
def cancelled_at_first_progress() -> Iterator[list[session.JobRecord]]:
    """As if the cross was pressed as soon as the worker has begun."""
    told: list[session.JobRecord] = []

    def stop(event: object, record: session.JobRecord) -> None:
        if isinstance(event, messages.Progress) and not told:
            told.append(record)
            session.cancel(record.job.job_id)

    session.subscribe(stop)
    try:
        yield told
    finally:
        session.unsubscribe(stop)


def begin_at_length(bpy: ModuleType, make: Callable[[ModuleType], None]) -> None:
    """The same job with so much to do that it can be stopped."""
    fine, operators = {**SMALL, "resolution": 128}, bpy.ops.neural_fields
    if make == make_mesh:
        operators.extract_mesh(**fine)
    elif make == make_volume:
        operators.extract_volume(resolution=128)
    elif make == make_sequence:
        operators.extract_mesh_sequence(**fine)
    elif make == make_motion:
        operators.bake_motion(resolution=128, level=50.0)
    else:
        bpy.context.scene.render.resolution_percentage = 4000
        operators.render_views(**EVERYWHERE)


@pytest.mark.parametrize("make", JOBS, ids=lambda make: make.__name__)
def test_a_cancelled_output_leaves_the_file_as_it_was_and_the_worker_ready(
    bpy: ModuleType, field: Any, make: Callable[[ModuleType], None]
) -> None:
    if make == make_volume and not has_vdb():
        pytest.skip("this Blender cannot write OpenVDB")
    before = counts(bpy)
    process = session.worker_process()
    with (
        cancelled_at_first_progress() as told,
        pytest.raises(RuntimeError, match="was cancelled"),
    ):
        begin_at_length(bpy, make)
    bpy.context.scene.render.resolution_percentage = 100
    assert told[0].state == "cancelled"
    assert counts(bpy) == before
    assert not bpy.ops.neural_fields.cancel.poll()
    make(bpy)
    assert counts(bpy) != before
    if process:
        assert session.worker_process() == process


def test_ctrl_c_in_a_script_cancels_the_job_and_the_next_one_runs(
    bpy: ModuleType, field: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = session.pump

    def interrupted(timeout_s: float = 0.0) -> None:
        monkeypatch.setattr(session, "pump", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "pump", interrupted)
    job = messages.ExtractMesh(
        job_id="stopped", run=str(run_of(field)), resolution=200, level=50.0, keep_unseen=True
    )
    record = session.submit(job, "Extract mesh", session.Target(field=field.session_uid))
    with pytest.raises(KeyboardInterrupt):
        session.wait("stopped")
    assert record.state == "cancelled"
    make_mesh(bpy)
    assert field.neural_field.mesh_object is not None


def files_named(bpy: ModuleType) -> dict[str, str]:
    """Every file that the open .blend names, by what names it."""
    named = {f"image {one.name}": one.filepath for one in bpy.data.images if one.filepath}
    named |= {f"clip {one.name}": one.filepath for one in bpy.data.movieclips}
    named |= {f"volume {one.name}": one.filepath for one in bpy.data.volumes}
    named |= {f"cache {one.name}": one.filepath for one in bpy.data.cache_files}
    for item in bpy.data.objects:
        for modifier in item.modifiers:
            if modifier.type == "MESH_CACHE":
                named[f"motion of {item.name}"] = modifier.filepath
    strips = compat.strips_of(bpy.data.scenes["Scene"])
    named |= {f"strip {strip.name}": strip.directory for strip in strips}
    named["run"] = the_field(bpy).neural_field.run
    return named


@pytest.mark.slow
def test_everything_is_found_again_in_a_project_that_moved_under_a_name_of_any_script(
    bpy: ModuleType, moving: Path, tmp_path: Path
) -> None:
    project = tmp_path / "Püppchen 雪 (alt)"
    (project / "läufe").mkdir(parents=True)
    run = make_moving_run(project / "läufe" / "Ball", turn=0.0, rise=0.3, scene="box")
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "Bühne.blend"))
    add_camera(bpy, (11, 13), size=16)
    field = add_field(bpy, run)
    assert field.neural_field.run == "//läufe/Ball/run"
    for make in JOBS:
        if make is not make_volume or has_vdb():
            bpy.context.view_layer.objects.active = field
            make(bpy)
    bpy.ops.wm.save_mainfile()
    moved = project.rename(tmp_path / "Ganz woanders")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "Bühne.blend"))
    named = files_named(bpy)
    kinds = {name.split()[0] for name in named}
    assert kinds >= {"image", "clip", "cache", "motion", "strip", "run"}
    assert ("volume" in kinds) == has_vdb()
    for name, path in named.items():
        assert path.startswith("//"), f"{name}: {path}"
        assert Path(os.path.normpath(bpy.path.abspath(path))).exists(), f"{name}: {path}"
    scene = bpy.context.scene
    field = the_field(bpy)
    for item in (field.neural_field.sequence_object, field.neural_field.motion_object):
        heights = []
        for frame in (11, 13):
            scene.frame_set(frame)
            mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
            heights.append(np.mean([vertex.co.z for vertex in mesh.vertices]))
        assert heights[1] > heights[0] + 0.05, item.name
    bpy.context.view_layer.objects.active = field
    make_mesh(bpy)
    assert Path(sent(messages.ExtractMesh).run) == moved / "läufe" / "Ball" / "run"


def test_in_a_file_that_was_never_saved_all_paths_are_whole(
    bpy: ModuleType, tmp_path: Path
) -> None:
    add_camera(bpy, (3, 4), size=16)
    field = train(bpy, tmp_path)
    for make in (make_mesh, make_views):
        make(bpy)
    named = files_named(bpy)
    assert all(Path(path).is_absolute() and Path(path).exists() for path in named.values()), named
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "later.blend"))
    bpy.context.view_layer.objects.active = field
    make_mesh(bpy)
    assert Path(sent(messages.ExtractMesh).run) == tmp_path / "run"


@pytest.fixture
def library(bpy: ModuleType, tmp_path: Path) -> Path:
    """A file in a folder of its own, with a field whose run lies beside it."""
    folder = tmp_path / "library"
    run = make_moving_run(folder / "Ball", turn=0.0, rise=0.3, scene="box")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "fields.blend"))
    field = add_field(bpy, run)
    assert field.neural_field.run == "//Ball/run"
    field.name = "Linked Field"
    holder = bpy.data.collections.new("Holder")
    bpy.context.scene.collection.children.link(holder)
    bpy.context.scene.collection.objects.unlink(field)
    holder.objects.link(field)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    (tmp_path / "shot").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot" / "shot.blend"))
    return folder / "fields.blend"


def link(bpy: ModuleType, library: Path) -> Any:
    with bpy.data.libraries.load(str(library), link=True, relative=True) as (_, wanted):
        wanted.collections = ["Holder"]
    (holder,) = wanted.collections
    bpy.context.scene.collection.children.link(holder)
    return holder.objects[0]


def test_a_linked_field_is_rendered_from_its_library_and_not_changed(
    bpy: ModuleType, library: Path, tmp_path: Path
) -> None:
    camera = add_camera(bpy, (11, 12), size=16)
    field = link(bpy, library)
    assert field.library is not None
    bpy.context.view_layer.objects.active = field
    for name in ("extract_mesh", "extract_volume", "extract_mesh_sequence", "bake_motion"):
        assert not getattr(bpy.ops.neural_fields, name).poll()
    assert bpy.ops.neural_fields.render_views() == {"FINISHED"}
    assert Path(sent(messages.RenderViews).run) == library.parent / "Ball" / "run"
    (background,) = camera.data.background_images
    assert background.image.filepath.startswith("//../library/Ball/run/outputs/views/")
    assert Path(os.path.normpath(bpy.path.abspath(background.image.filepath))).is_file()


def test_an_override_of_a_linked_field_gets_outputs_of_its_own(
    bpy: ModuleType, library: Path
) -> None:
    linked = link(bpy, library)
    scene, layer = bpy.context.scene, bpy.context.view_layer
    linked.users_collection[0].override_hierarchy_create(scene, layer)
    field = next(item for item in scene.objects if item.neural_field.run and item.library is None)
    assert field.override_library is not None
    assert run_of(field) == library.parent / "Ball" / "run"
    layer.objects.active = field
    bpy.ops.neural_fields.extract_mesh(**SMALL)
    assert Path(sent(messages.ExtractMesh).run) == library.parent / "Ball" / "run"
    surface = field.neural_field.mesh_object
    assert surface.parent == field
    assert surface.name in scene.objects


def test_fields_of_two_scenes_keep_their_results_apart(
    bpy: ModuleType, field: Any, moving: Path
) -> None:
    first = bpy.context.scene
    make_mesh(bpy)
    other = bpy.data.scenes.new("Other")
    bpy.context.window.scene = other
    bpy.ops.neural_fields.add_field(run=str(moving))
    second = bpy.context.object
    assert second != field
    make_mesh(bpy)
    assert second.neural_field.mesh_object.name in other.objects
    assert second.neural_field.mesh_object.name not in first.objects
    assert field.neural_field.mesh_object.name in first.objects
    assert field.neural_field.mesh_object != second.neural_field.mesh_object
