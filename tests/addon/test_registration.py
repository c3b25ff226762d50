# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import MISSING, fields
from types import ModuleType
from typing import Any

import headless_blender
import pytest
from neural_fields.addon import (
    motion_settings,
    output_settings,
    preferences,
    properties,
    rig_settings,
    session,
    settings,
    shape_settings,
    solid_settings,
)
from neural_fields.addon.worker.protocol import messages

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

OPERATORS = {
    "add_bounds",
    "add_camera_rig",
    "add_csg_primitive",
    "add_field",
    "apply_bounds",
    "bake_motion",
    "bake_shape",
    "cancel",
    "cancel_install",
    "capture_from_clip",
    "check_capture",
    "check_environment",
    "composite",
    "copy_install_command",
    "delete_run",
    "discard_training",
    "dismiss",
    "export_capture",
    "extract_mesh",
    "extract_mesh_sequence",
    "extract_volume",
    "find_environment",
    "fit_image",
    "fit_latent",
    "fit_shape",
    "fix_problem",
    "go_to_camera",
    "import_capture",
    "install_environment",
    "mesh_csg",
    "open_log",
    "pause_training",
    "refresh_runs",
    "release_memory",
    "relink_run",
    "remove_camera_rig",
    "remove_composite",
    "rename_run",
    "render_capture",
    "render_views",
    "resume_run",
    "reveal_run",
    "set_proxy",
    "show_elements",
    "show_preferences",
    "stop_capture",
    "stop_training",
    "stop_try_it",
    "stop_worker",
    "train",
    "try_it",
    "update_shape",
    "use_run_settings",
}

SHAPE_MESH = {"shape", "blend_to", "blend", "axes", "elements"}
"""What only a mesh of a learned shape can be told."""
FIELD_MESH = {
    "surface", "crop_min", "crop_max", "keep_components", "keep_unseen", "colors", "time",
    "keep_faces", "texture_size",
}  # fmt: skip
"""What only that of a field learned from pictures can, or seldom another."""


def traces(bpy: ModuleType) -> set[str]:
    """Everything of the add-on that Blender knows."""
    handlers = [
        f"handler {name}"
        for name in dir(bpy.app.handlers)
        if isinstance(found := getattr(bpy.app.handlers, name), list)
        for function in found
        if "neural_fields" in getattr(function, "__module__", "")
    ]
    classes = [
        name
        for name in dir(bpy.types)
        if name.upper().startswith(("NEURALFIELDS", "NEURAL_FIELDS"))
    ]
    owners = (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager)
    owned = [
        f"{owner.__name__}.{name}"
        for owner in owners
        for name in dir(owner)
        if "neural_field" in name
    ]
    timers = ["timer"] if bpy.app.timers.is_registered(session._on_timer) else []
    return {*handlers, *classes, *owned, *timers, *dir(bpy.ops.neural_fields)}


def test_registering_twice_over_leaves_nothing_behind(bpy: ModuleType) -> None:
    extension = headless_blender.load_extension()
    present = traces(bpy)
    assert present >= OPERATORS | {"Scene.neural_fields", "Object.neural_field"}
    for _ in range(2):
        extension.unregister()
        assert traces(bpy) == set()
        assert session._session.listeners == []
        extension.register()
        assert traces(bpy) == present


def test_a_part_that_fails_to_register_takes_the_others_back(
    bpy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_fields.addon.operators import render

    extension = headless_blender.load_extension()
    extension.unregister()

    def fail() -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(render, "register", fail)
        with pytest.raises(RuntimeError, match="no"):
            extension.register()
        assert traces(bpy) == set()
    extension.register()


def test_every_operator_answers_whether_it_can_run_in_an_empty_file(bpy: ModuleType) -> None:
    assert set(dir(bpy.ops.neural_fields)) == OPERATORS
    answers = {name: getattr(bpy.ops.neural_fields, name).poll() for name in OPERATORS}
    assert {name for name, answer in answers.items() if not answer} == {
        "apply_bounds",
        "bake_motion",
        "bake_shape",
        "cancel",
        "cancel_install",
        "capture_from_clip",
        "composite",
        "discard_training",
        "export_capture",
        "extract_mesh",
        "extract_mesh_sequence",
        "extract_volume",
        "fit_image",
        "fit_latent",
        "fit_shape",
        "mesh_csg",
        "pause_training",
        "release_memory",
        "remove_camera_rig",
        "remove_composite",
        "render_views",
        "set_proxy",
        "show_elements",
        "show_preferences",
        "stop_capture",
        "stop_training",
        "stop_try_it",
        "stop_worker",
        "update_shape",
    }


def test_every_property_and_operator_has_a_name_and_a_tooltip_without_a_full_stop(
    bpy: ModuleType,
) -> None:
    groups = [
        group.bl_rna for group in (*properties.CLASSES, preferences.NEURALFIELDS_AP_preferences)
    ]
    operators = [getattr(bpy.ops.neural_fields, name).get_rna_type() for name in OPERATORS]
    for owner in (*groups, *operators):
        for found in owner.properties:
            if found.identifier in ("rna_type", "name", "bl_idname") or found.type == "POINTER":
                continue
            where = f"{owner.identifier}.{found.identifier}"
            assert found.name, where
            assert found.description, where
            assert not found.description.endswith("."), where
    assert all(operator.description for operator in operators)


def properties_of(shared: type) -> dict[str, Any]:
    """The properties that a class of annotations declares, those of its bases included."""
    return {
        name: found
        for kind in reversed(shared.__mro__[:-1])
        for name, found in kind.__annotations__.items()
    }


def test_an_operators_properties_and_the_stored_ones_are_the_same(bpy: ModuleType) -> None:
    scene = bpy.context.scene.neural_fields
    for name, stored, shared in (
        ("add_camera_rig", scene.rig, rig_settings.RigProperties),
        ("render_capture", scene.capture, settings.CaptureProperties),
        ("render_capture", scene.capture, motion_settings.CaptureTimeProperties),
        ("train", scene.training, settings.TrainingProperties),
        ("fit_shape", scene.fit_shape, shape_settings.FitShapeProperties),
        ("fit_image", scene.fit_image, shape_settings.FitImageProperties),
    ):
        operator = getattr(bpy.ops.neural_fields, name).get_rna_type().properties
        for key in properties_of(shared):
            assert operator[key].default == stored.bl_rna.properties[key].default


@pytest.mark.parametrize(
    ("job", "shared", "apart"),
    [
        (
            messages.Train,
            settings.TrainingProperties,
            {"job_id", "checkpoint_seconds", "preview_camera"},
        ),
        (
            messages.ExtractMesh,
            settings.MeshProperties,
            SHAPE_MESH | {"job_id", "run", "output", "colors", "time"},
        ),
        (
            messages.ExtractMeshSequence,
            motion_settings.MeshSequenceProperties,
            {"job_id", "run", "frames", "times", "colors"},
        ),
        (
            messages.BakeMotion,
            motion_settings.BakeProperties,
            {"job_id", "run", "mesh", "frames", "times", "mesh_to_field"},
        ),
        (
            messages.FitShape,
            shape_settings.FitShapeProperties,
            {"job_id", "meshes", "checkpoint_seconds"},
        ),
        (
            messages.FitLatent,
            shape_settings.FitLatentProperties,
            {"job_id", "run", "mesh", "name", "viewpoint"},
        ),
        (
            messages.ExtractMesh,
            shape_settings.ShapeProperties,
            FIELD_MESH | {"job_id", "run", "output", "elements", "resolution"},
        ),
        (messages.FitImage, shape_settings.FitImageProperties, {"job_id", "image", "output"}),
        (
            messages.MeshShape,
            solid_settings.SolidProperties,
            {"job_id", "shape", "output", "crop_min", "crop_max"},
        ),
        (
            messages.RenderViews,
            settings.ViewsProperties,
            {"job_id", "run", "cameras", "fps", "bits"},
        ),
        (
            messages.ExtractVolume,
            output_settings.VolumeProperties,
            {"job_id", "run", "frames", "times"},
        ),
        (
            messages.Convert,
            output_settings.ExportProperties,
            {"job_id", "capture"},
        ),
    ],
)
def test_the_settings_keep_step_with_the_protocol(
    bpy: ModuleType, job: type, shared: type, apart: set[str]
) -> None:
    """What a job can be told, the add-on can tell it; and the defaults are the same."""
    told = {field.name: field.default for field in fields(job) if field.name not in apart}
    offered = properties_of(shared)
    assert told.keys() <= offered.keys()
    for name, default in told.items():
        stored = offered[name].keywords.get("default")
        if default and default is not MISSING and name not in {"device", "settings"}:
            assert stored == default, name
