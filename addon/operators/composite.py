# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting a scene and its neural fields into one picture."""

import bpy
from bpy.props import EnumProperty

from ..scene import compositing, proxies
from ..settings import FORGET
from .jobs import Outcome, RefusedError, field_of, reporting, scene_of

ENGINE = "NEURAL_FIELD"

ROLES = (
    ("NONE", "Visible", "The mesh renders as it is"),
    ("SHADOW", "Shadow Catcher", "The mesh takes the shadows of the scene and is else invisible"),
    ("HOLDOUT", "Holdout", "The mesh cuts a hole where the field is in front"),
    ("HIDDEN", "Hidden", "The mesh does not render"),
)


class NEURALFIELDS_OT_composite(bpy.types.Operator):
    """Build compositor nodes that show the scene in front of and behind its neural fields, by
    depth. They are renewed where they are there already
    """

    bl_idname = "neural_fields.composite"
    bl_label = "Composite With Field"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = context.scene
        if scene is None:
            return False
        if scene.render.engine == ENGINE:
            cls.poll_message_set("Choose the engine that renders the scene itself, such as Cycles")
            return False
        if not any(item.neural_field.run for item in scene.objects):
            cls.poll_message_set("The scene has no neural field; train one or add a trained one")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        fields = [item for item in scene.objects if item.neural_field.run]
        try:
            with reporting(self):
                other = compositing.put_field_scene(scene, fields, ENGINE)
                compositing.build(scene, other)
        except RefusedError:
            return {"CANCELLED"}
        visible = [one for field in fields for one in proxies.visible_meshes(field)]
        if visible:
            self.report(
                {"WARNING"},
                f"{visible[0].name!r} is rendered too: make it a shadow catcher or hide it",
            )
        return {"FINISHED"}


class NEURALFIELDS_OT_remove_composite(bpy.types.Operator):
    """Take the nodes that put scene and fields together out again, with the scene that renders the
    fields
    """

    bl_idname = "neural_fields.remove_composite"
    bl_label = "Remove Composite"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is not None and compositing.is_built(context.scene):
            return True
        cls.poll_message_set("The scene is not composited with a field")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        compositing.undo(scene_of(context))
        return {"FINISHED"}


class NEURALFIELDS_OT_set_proxy(bpy.types.Operator):
    """Have the field's mesh stand in for the field where the scene is rendered: take its shadows,
    or hide what is behind it
    """

    bl_idname = "neural_fields.set_proxy"
    bl_label = "Set Field Proxy"
    bl_options = {"REGISTER", "UNDO"}

    role: EnumProperty(
        name="Mesh",
        description="What the field's mesh is for where the scene is rendered",
        items=ROLES,
        default="SHADOW",
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        field = field_of(context) if context.scene is not None else None
        if field is not None and proxies.meshes_of(field):
            return True
        cls.poll_message_set("Extract the field's mesh first")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        field = field_of(context)
        assert field is not None  # by poll
        for mesh in proxies.meshes_of(field):
            proxies.set_role(mesh, self.role)
        return {"FINISHED"}


CLASSES = (
    NEURALFIELDS_OT_composite,
    NEURALFIELDS_OT_remove_composite,
    NEURALFIELDS_OT_set_proxy,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
