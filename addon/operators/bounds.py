# SPDX-License-Identifier: GPL-3.0-or-later
"""The box that an artist moves: what a capture is about, or what a mesh is cut to."""

from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty

from .. import preferences, session
from ..scene.bounds import add_box, bounds_of_run, box_of, union_of_boxes
from ..scene.cameras import bounds_of
from ..settings import FORGET
from ..worker.protocol import messages
from .capture_checks import use_capture
from .jobs import (
    Outcome,
    RefusedError,
    absolute,
    choose,
    do,
    field_of,
    reporting,
    run_of,
    scene_of,
)

_MARGIN = 1.02
_DEFAULT = np.array([[-1.0] * 3, [1.0] * 3])


class NEURALFIELDS_OT_add_bounds(bpy.types.Operator):
    """Add a box to move and scale. Captures are about what it holds; meshes and volumes are cut to
    theirs
    """

    bl_idname = "neural_fields.add_bounds"
    bl_label = "Add Bounds"
    bl_options = {"REGISTER", "UNDO"}

    purpose: EnumProperty(
        name="For",
        description="What the box is for",
        items=(
            ("CAPTURE", "Capture", "What is to be learned; around the selection, or everything"),
            ("MESH", "Mesh", "What of the active field becomes a mesh or a volume"),
        ),
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        field = field_of(context)
        if self.purpose == "MESH" and field is None:
            self.report({"ERROR"}, "There is no field to crop. Select one, or train one first.")
            return {"CANCELLED"}
        if self.purpose == "MESH":
            assert field is not None
            empty = _add_crop(context, field)
        else:
            empty = _add_capture_bounds(context)
        for item in context.selected_objects:
            item.select_set(False)
        empty.select_set(True)
        context.view_layer.objects.active = empty
        context.view_layer.update()
        return {"FINISHED"}


class NEURALFIELDS_OT_apply_bounds(bpy.types.Operator):
    """Learn from the chosen capture with the box as its bounds. The capture itself stays"""

    bl_idname = "neural_fields.apply_bounds"
    bl_label = "Use Box for Capture"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None:
            return False
        settings = context.scene.neural_fields
        if settings.capture.bounds_box is None:
            cls.poll_message_set("Add bounds first")
            return False
        if not settings.training.capture:
            cls.poll_message_set("Render or import a capture first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        output = preferences.new_folder("capture_bounds") / "transforms.json"
        uid = scene.session_uid
        try:
            with reporting(self):
                box = box_of(scene.neural_fields.capture.bounds_box)
            job = messages.SelectViews(
                job_id=session.new_job_id(),
                capture=absolute(scene.neural_fields.training.capture),
                output=str(output),
                bounds_min=tuple(box[0].tolist()),
                bounds_max=tuple(box[1].tolist()),
            )
            do(
                self,
                job,
                "Set bounds",
                session.Target(scene=uid),
                then=lambda _record: use_capture(uid, output.parent),
            )
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}


def crop_of(
    operator: bpy.types.Operator, stored: Any, field: bpy.types.Object
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The corners of the crop box in the field's space; empty where nothing is cut off.

    Corners given to the operator count most, then the field's box, then the stored corners.

    Raises:
        SceneError: where the box is flat.
    """
    given = any(operator.properties.is_property_set(name) for name in ("crop_min", "crop_max"))
    options = choose(operator, stored, "use_crop", "crop_min", "crop_max")
    box = field.neural_field.mesh.crop_box
    refused = operator.properties.is_property_set("use_crop") and not options["use_crop"]
    if refused:
        return (), ()
    if box is not None and box.name in bpy.context.scene.objects and not given:
        lower, upper = box_of(box, field)
        return tuple(lower.tolist()), tuple(upper.tolist())
    if options["use_crop"] or given:
        return tuple(options["crop_min"]), tuple(options["crop_max"])
    return (), ()


def _add_capture_bounds(context: bpy.types.Context) -> bpy.types.Object:
    scene = scene_of(context)
    depsgraph = context.evaluated_depsgraph_get()
    selected = frozenset(item.name for item in context.selected_objects)
    box = bounds_of(depsgraph, selected) if selected else None
    box = bounds_of(depsgraph) if box is None else box
    if box is None:
        center = np.array(scene.cursor.location)
        box = _DEFAULT + center
    center = box.mean(axis=0)
    empty = add_box("Bounds", center + _MARGIN * (box - center), scene.collection)
    scene.neural_fields.capture.bounds_box = empty
    return empty


def _add_crop(context: bpy.types.Context, field: bpy.types.Object) -> bpy.types.Object:
    """In the field's own space, so that it moves with the field."""
    surface = field.neural_field.mesh_object
    box = union_of_boxes([surface], field.matrix_world) if surface is not None else None
    if box is None:
        box = bounds_of_run(run_of(field))
    box = _DEFAULT if box is None else box
    center = box.mean(axis=0)
    collection = (*field.users_collection, scene_of(context).collection)[0]
    empty = add_box(
        f"{field.name} Crop", center + _MARGIN * (box - center), collection, parent=field
    )
    field.neural_field.mesh.crop_box = empty
    return empty


CLASSES = (NEURALFIELDS_OT_add_bounds, NEURALFIELDS_OT_apply_bounds)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
