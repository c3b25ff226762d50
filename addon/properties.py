# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored in .blend files: the scene's settings, and on each field's empty its run."""

import bpy
from bpy.props import FloatProperty, IntProperty, PointerProperty, StringProperty

from .compat import BLEND_RELATIVE
from .motion_settings import (
    BakeProperties,
    CaptureTimeProperties,
    FieldTimeProperties,
    MeshSequenceProperties,
)
from .settings import (
    CaptureProperties,
    MeshProperties,
    RigProperties,
    TrainingProperties,
    ViewsProperties,
)
from .worker.protocol import messages, tooltip


class NEURALFIELDS_PG_rig(RigProperties, bpy.types.PropertyGroup):
    collection: PointerProperty(
        name="Rig",
        description="The collection that holds the rig's cameras",
        type=bpy.types.Collection,
    )


class NEURALFIELDS_PG_capture(CaptureProperties, CaptureTimeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_training(TrainingProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_mesh(MeshProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_views(ViewsProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_mesh_sequence(MeshSequenceProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_bake(BakeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_scene(bpy.types.PropertyGroup):
    rig: PointerProperty(type=NEURALFIELDS_PG_rig)
    capture: PointerProperty(type=NEURALFIELDS_PG_capture)
    training: PointerProperty(type=NEURALFIELDS_PG_training)


class NEURALFIELDS_PG_field(FieldTimeProperties, bpy.types.PropertyGroup):
    """On the empty that stands for a field; `mesh_object` is its surface, once there is one."""

    run: StringProperty(
        name="Run",
        description=tooltip(messages.RenderViews, "run"),
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    method: StringProperty(name="Method", description="Method that learned the field")
    steps: IntProperty(name="Steps", description="Steps the field was trained for")
    psnr: FloatProperty(
        name="PSNR",
        description="Quality on the held-out pictures in decibels; 0 where none were held out",
    )
    mesh_object: PointerProperty(
        name="Mesh", description="The field's surface", type=bpy.types.Object
    )
    sequence_object: PointerProperty(
        name="Mesh Sequence",
        description="The field's surface at each frame, in one object",
        type=bpy.types.Object,
    )
    motion_object: PointerProperty(
        name="Moving Mesh",
        description="The mesh whose vertices follow the field's motion",
        type=bpy.types.Object,
    )
    mesh: PointerProperty(type=NEURALFIELDS_PG_mesh)
    mesh_sequence: PointerProperty(type=NEURALFIELDS_PG_mesh_sequence)
    bake: PointerProperty(type=NEURALFIELDS_PG_bake)
    views: PointerProperty(type=NEURALFIELDS_PG_views)


CLASSES = (
    NEURALFIELDS_PG_rig,
    NEURALFIELDS_PG_capture,
    NEURALFIELDS_PG_training,
    NEURALFIELDS_PG_mesh,
    NEURALFIELDS_PG_views,
    NEURALFIELDS_PG_mesh_sequence,
    NEURALFIELDS_PG_bake,
    NEURALFIELDS_PG_scene,
    NEURALFIELDS_PG_field,
)


def register() -> None:
    for group in CLASSES:
        bpy.utils.register_class(group)
    bpy.types.Scene.neural_fields = PointerProperty(  # type: ignore[func-returns-value]
        type=NEURALFIELDS_PG_scene
    )
    bpy.types.Object.neural_field = PointerProperty(  # type: ignore[func-returns-value]
        type=NEURALFIELDS_PG_field
    )


def unregister() -> None:
    del bpy.types.Object.neural_field
    del bpy.types.Scene.neural_fields
    for group in reversed(CLASSES):
        bpy.utils.unregister_class(group)
