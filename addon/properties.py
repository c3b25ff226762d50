# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored in .blend files: the scene's settings, and on each field's empty its run."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import capture_problems
from .compat import BLEND_RELATIVE
from .engine_settings import EngineProperties
from .mesh_settings import LiveLevelProperties
from .motion_settings import (
    BakeProperties,
    CaptureTimeProperties,
    FieldTimeProperties,
    MeshSequenceProperties,
)
from .output_settings import ExportProperties, ViewTargetProperties, VolumeProperties
from .rig_settings import RigProperties
from .settings import (
    CaptureProperties,
    MeshProperties,
    TrainingProperties,
    ViewsProperties,
)
from .shape_settings import (
    SPACES,
    BakeShapeProperties,
    FitImageProperties,
    FitLatentProperties,
    FitShapeProperties,
    ShapeProperties,
)
from .solid_settings import PrimitiveProperties, SolidProperties
from .training_settings import TrainingPanelProperties
from .window_settings import NEURALFIELDS_PG_run, NEURALFIELDS_PG_window
from .worker.protocol import messages, tooltip


class NEURALFIELDS_PG_rig(RigProperties, bpy.types.PropertyGroup):
    collection: PointerProperty(
        name="Rig",
        description="The collection that holds the rig's cameras",
        type=bpy.types.Collection,
    )
    subject_min: FloatVectorProperty(
        name="Subject Minimum",
        description="Lower corner of the box that the rig stands around",
        default=(-1.0, -1.0, -1.0),
        subtype="XYZ",
    )
    subject_max: FloatVectorProperty(
        name="Subject Maximum",
        description="Upper corner of the box that the rig stands around",
        default=(1.0, 1.0, 1.0),
        subtype="XYZ",
    )


def _is_empty(_group: bpy.types.PropertyGroup, item: bpy.types.Object) -> bool:
    return item.type == "EMPTY" and not item.neural_field.run


class NEURALFIELDS_PG_capture(CaptureProperties, CaptureTimeProperties, bpy.types.PropertyGroup):
    unfinished: StringProperty(
        name="Unfinished Capture",
        description="Folder of the capture that was begun last and is not done",
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    bounds_box: PointerProperty(
        name="Bounds",
        description=(
            "An empty whose cube holds all that is to be learned; without one the scene is measured"
        ),
        type=bpy.types.Object,
        poll=_is_empty,
    )


class NEURALFIELDS_PG_training(
    TrainingProperties, TrainingPanelProperties, bpy.types.PropertyGroup
):
    pass


class NEURALFIELDS_PG_mesh(MeshProperties, LiveLevelProperties, bpy.types.PropertyGroup):
    crop_box: PointerProperty(
        name="Crop Box",
        description="An empty; only what lies in its cube becomes a mesh or a volume",
        type=bpy.types.Object,
        poll=_is_empty,
    )


class NEURALFIELDS_PG_views(ViewsProperties, ViewTargetProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_volume(VolumeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_export(ExportProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_mesh_sequence(MeshSequenceProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_bake(BakeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_bake_shape(BakeShapeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_fit_shape(FitShapeProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_fit_latent(FitLatentProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_fit_image(FitImageProperties, bpy.types.PropertyGroup):
    image: PointerProperty(
        name="Image", description="Image that the panel's button learns", type=bpy.types.Image
    )


class NEURALFIELDS_PG_shape_name(bpy.types.PropertyGroup):
    """The name of a shape that a run knows; it is the group's own `name`."""

    is_found: BoolProperty(
        name="Found", description="The shape was not learned but found in the family"
    )


class NEURALFIELDS_PG_shape(ShapeProperties, bpy.types.PropertyGroup):
    """On the empty that stands for a learned shape or a family of them."""

    run: StringProperty(
        name="Run",
        description=tooltip(messages.FitLatent, "run"),
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    method: StringProperty(name="Method", description="Method that learned the shape")
    space: EnumProperty(
        name="Space", description="Where the meshes were taken to lie", items=SPACES
    )
    shapes: CollectionProperty(
        name="Shapes", description="Shapes that the run knows", type=NEURALFIELDS_PG_shape_name
    )
    fit_latent: PointerProperty(type=NEURALFIELDS_PG_fit_latent)
    bake: PointerProperty(type=NEURALFIELDS_PG_bake_shape)


class NEURALFIELDS_PG_part(bpy.types.PropertyGroup):
    part: PointerProperty(
        name="Part", description="An object that the solid is made of", type=bpy.types.Object
    )


class NEURALFIELDS_PG_primitive(PrimitiveProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_solid(SolidProperties, bpy.types.PropertyGroup):
    """On the empty that stands for a solid made of others, in their order."""

    parts: CollectionProperty(
        name="Parts", description="What the solid is made of", type=NEURALFIELDS_PG_part
    )


class NEURALFIELDS_PG_engine(EngineProperties, bpy.types.PropertyGroup):
    pass


class NEURALFIELDS_PG_scene(bpy.types.PropertyGroup):
    rig: PointerProperty(type=NEURALFIELDS_PG_rig)
    capture: PointerProperty(type=NEURALFIELDS_PG_capture)
    training: PointerProperty(type=NEURALFIELDS_PG_training)
    export: PointerProperty(type=NEURALFIELDS_PG_export)
    fit_shape: PointerProperty(type=NEURALFIELDS_PG_fit_shape)
    fit_image: PointerProperty(type=NEURALFIELDS_PG_fit_image)
    engine: PointerProperty(type=NEURALFIELDS_PG_engine)
    composited_for: PointerProperty(
        name="Composited For",
        description="The scene whose compositor shows the fields that this one renders",
        type=bpy.types.Scene,
    )


class NEURALFIELDS_PG_field(FieldTimeProperties, bpy.types.PropertyGroup):
    """On the empty that stands for a field; `mesh_object` is its surface, once there is one.

    On that of a shape `shape` says which, on that of a solid `solid`, and their meshes are here
    too. `primitive` is on the mesh that shows a solid with a formula.
    """

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
    volume_object: PointerProperty(
        name="Volume", description="The field as a volume", type=bpy.types.Object
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
    volume: PointerProperty(type=NEURALFIELDS_PG_volume)
    shape: PointerProperty(type=NEURALFIELDS_PG_shape)
    primitive: PointerProperty(type=NEURALFIELDS_PG_primitive)
    solid: PointerProperty(type=NEURALFIELDS_PG_solid)


CLASSES = (
    *capture_problems.CLASSES,
    NEURALFIELDS_PG_rig,
    NEURALFIELDS_PG_capture,
    NEURALFIELDS_PG_training,
    NEURALFIELDS_PG_mesh,
    NEURALFIELDS_PG_views,
    NEURALFIELDS_PG_volume,
    NEURALFIELDS_PG_export,
    NEURALFIELDS_PG_mesh_sequence,
    NEURALFIELDS_PG_bake,
    NEURALFIELDS_PG_bake_shape,
    NEURALFIELDS_PG_fit_shape,
    NEURALFIELDS_PG_fit_latent,
    NEURALFIELDS_PG_fit_image,
    NEURALFIELDS_PG_shape_name,
    NEURALFIELDS_PG_shape,
    NEURALFIELDS_PG_part,
    NEURALFIELDS_PG_primitive,
    NEURALFIELDS_PG_solid,
    NEURALFIELDS_PG_engine,
    NEURALFIELDS_PG_scene,
    NEURALFIELDS_PG_field,
    NEURALFIELDS_PG_run,
    NEURALFIELDS_PG_window,
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
    bpy.types.WindowManager.neural_fields = PointerProperty(  # type: ignore[func-returns-value]
        type=NEURALFIELDS_PG_window
    )


def unregister() -> None:
    del bpy.types.WindowManager.neural_fields
    del bpy.types.Object.neural_field
    del bpy.types.Scene.neural_fields
    for group in reversed(CLASSES):
        bpy.utils.unregister_class(group)
