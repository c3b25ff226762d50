# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of each job, as properties.

They are plain classes of annotations, so that a property group and the operator of the same
name have the same properties: `bpy.ops.neural_fields.train(preset="draft")` overrides what the
scene says.
"""

from typing import Any

from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from .compat import BLEND_RELATIVE
from .preferences import DEVICES
from .worker.protocol import messages, tooltip

# Blender remembers an operator's last values otherwise, and they would win over the scene's
# settings.
FORGET: Any = {"SKIP_SAVE"}
FORGET_PATH: Any = FORGET | BLEND_RELATIVE

CAPTURE_SOURCES = (
    ("COLLECTION", "Camera Rig", "Every camera of a collection"),
    ("SELECTED", "Selected Cameras", "The cameras that are selected"),
    ("SCENE", "All Cameras", "Every camera of the scene"),
    ("ANIMATION", "Animated Camera", "The scene's camera along its animation"),
)
PRESETS = (
    ("draft", "Draft", "A first look, soon: some seconds to a minute"),
    ("standard", "Standard", "Good for most scenes: some minutes"),
    ("final", "Final", "The best quality; takes its time"),
)
JOB_DEVICES = (
    ("preferences", "As in Preferences", "The device of the add-on's preferences"),
    *DEVICES,
)
BACKGROUNDS = (
    ("transparent", "Transparent", "Nothing behind the field"),
    ("white", "White", "White behind the field"),
    ("black", "Black", "Black behind the field"),
    ("learned", "Learned", "The surroundings as the pictures show them"),
)
SURFACES = (
    ("auto", "Auto", "Depth, unless a level is given or there are few cameras"),
    ("depth", "Depth", "Where the training's cameras see their rays end: smooth"),
    ("density", "Density", "Where the density reaches a level: keeps the finest parts, is rougher"),
)


def device_property() -> Any:
    return EnumProperty(  # type: ignore[func-returns-value]
        name="Device",
        description=tooltip(messages.Train, "device"),
        items=JOB_DEVICES,
        default="preferences",
        options=FORGET,
    )


class CaptureProperties:
    source: EnumProperty(
        name="From",
        description="Which cameras take the pictures",
        items=CAPTURE_SOURCES,
        options=FORGET,
    )
    folder: StringProperty(
        name="Folder",
        description=(
            "Where the pictures and transforms.json go; empty for a new folder under the "
            "runs "
            "folder"
        ),
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    frame_step: IntProperty(
        name="Every Nth Frame",
        description=(
            "How many frames of an animated camera or a moving scene lie between two pictures"
        ),
        default=1,
        min=1,
        options=FORGET,
    )
    moving_scene: BoolProperty(
        name="Scene Moves",
        description=(
            "The scene itself changes over the frame range: each picture gets its time, and the "
            "cameras of a rig "
            "take turns along the timeline"
        ),
        options=FORGET,
    )
    transparent: BoolProperty(
        name="Transparent",
        description="Render without the world's background, so that only the objects are learned",
        default=True,
        options=FORGET,
    )
    hold_out: IntProperty(
        name="Hold Out Nth",
        description=(
            "Every Nth picture is kept from training to measure the quality with; 0 for none"
        ),
        default=8,
        min=0,
        options=FORGET,
    )
    overwrite: BoolProperty(
        name="Overwrite",
        description="Render the pictures of an earlier capture in this folder again",
        options=FORGET,
    )


class TrainingProperties:
    capture: StringProperty(
        name="Capture",
        description=tooltip(messages.Train, "capture"),
        subtype="FILE_PATH",
        options=FORGET_PATH,
    )
    run: StringProperty(
        name="Run Folder",
        description=tooltip(messages.Train, "run") + ". Empty for a new one under the runs folder",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    method: StringProperty(
        name="Method",
        description=tooltip(messages.Train, "method"),
        default="auto",
        options=FORGET,
    )
    preset: EnumProperty(
        name="Quality",
        description=tooltip(messages.Train, "preset"),
        items=PRESETS,
        default="standard",
        options=FORGET,
    )
    surfaces: BoolProperty(
        name="For a Mesh",
        description=tooltip(messages.Train, "surfaces"),
        options=FORGET,
    )
    device: device_property()
    steps: IntProperty(
        name="Steps", description=tooltip(messages.Train, "steps"), min=0, options=FORGET
    )
    seconds: FloatProperty(
        name="Seconds", description=tooltip(messages.Train, "seconds"), min=0.0, options=FORGET
    )
    seed: IntProperty(
        name="Seed", description=tooltip(messages.Train, "seed"), min=0, options=FORGET
    )
    image_width: IntProperty(
        name="Image Width",
        description=tooltip(messages.Train, "image_width"),
        min=0,
        subtype="PIXEL",
        options=FORGET,
    )
    hold_out: IntProperty(
        name="Hold Out Nth",
        description=tooltip(messages.Train, "hold_out"),
        default=8,
        min=0,
        options=FORGET,
    )
    resume: BoolProperty(
        name="Resume", description=tooltip(messages.Train, "resume"), options=FORGET
    )
    preview_seconds: FloatProperty(
        name="Preview Every",
        description=tooltip(messages.Train, "preview_seconds"),
        min=0.0,
        options=FORGET,
    )
    evaluations: IntProperty(
        name="Evaluations",
        description=tooltip(messages.Train, "evaluations"),
        min=0,
        options=FORGET,
    )
    settings: StringProperty(
        name="Settings",
        description=tooltip(messages.Train, "settings") + ", separated by spaces",
        options=FORGET,
    )


class CropProperties:
    """A box outside which nothing is kept."""

    use_crop: BoolProperty(
        name="Crop",
        description="Keep only what lies inside a box, given in the field's own space",
        options=FORGET,
    )
    crop_min: FloatVectorProperty(
        name="Crop Minimum",
        description=tooltip(messages.ExtractMesh, "crop_min"),
        default=(-1.0, -1.0, -1.0),
        subtype="XYZ",
        options=FORGET,
    )
    crop_max: FloatVectorProperty(
        name="Crop Maximum",
        description=tooltip(messages.ExtractMesh, "crop_max"),
        default=(1.0, 1.0, 1.0),
        subtype="XYZ",
        options=FORGET,
    )


class SurfaceProperties(CropProperties):
    """Of which density the surface is, and what of it is kept."""

    level: FloatProperty(
        name="Level",
        description=tooltip(messages.ExtractMesh, "level"),
        min=0.0,
        options=FORGET,
    )
    keep_components: FloatProperty(
        name="Floaters",
        description=tooltip(messages.ExtractMesh, "keep_components"),
        default=0.02,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options=FORGET,
    )
    keep_unseen: BoolProperty(
        name="Keep Unseen",
        description=tooltip(messages.ExtractMesh, "keep_unseen"),
        options=FORGET,
    )


class MeshProperties(SurfaceProperties):
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.ExtractMesh, "resolution"),
        default=256,
        min=8,
        soft_max=1024,
        options=FORGET,
    )
    surface: EnumProperty(
        name="Surface",
        description="What the mesh is made from",
        items=SURFACES,
        default="auto",
        options=FORGET,
    )
    keep_faces: FloatProperty(
        name="Keep Faces",
        description=tooltip(messages.ExtractMesh, "keep_faces"),
        default=1.0,
        min=0.001,
        soft_max=1.0,
        options=FORGET,
    )
    texture_size: IntProperty(
        name="Texture Size",
        description=tooltip(messages.ExtractMesh, "texture_size"),
        min=0,
        soft_max=4096,
        max=8192,
        subtype="PIXEL",
        options=FORGET,
    )
    device: device_property()


class FramesProperties:
    use_scene_range: BoolProperty(
        name="Scene Range",
        description="Take the scene's frame range instead of the one given here",
        default=True,
        options=FORGET,
    )
    frame_start: IntProperty(name="Start", description="First frame", default=1, options=FORGET)
    frame_end: IntProperty(name="End", description="Last frame", default=250, options=FORGET)


class ViewsProperties(FramesProperties):
    output: StringProperty(
        name="Folder",
        description=tooltip(messages.RenderViews, "output"),
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    format: EnumProperty(
        name="Format",
        description=tooltip(messages.RenderViews, "format"),
        items=(("png", "PNG", "As it is seen"), ("exr", "EXR", "Linear, in floating point")),
        default="png",
        options=FORGET,
    )
    background: EnumProperty(
        name="Background",
        description=tooltip(messages.RenderViews, "background"),
        items=BACKGROUNDS,
        default="transparent",
        options=FORGET,
    )
    depth: BoolProperty(
        name="Depth", description=tooltip(messages.RenderViews, "depth"), options=FORGET
    )
    normals: BoolProperty(
        name="Normals", description=tooltip(messages.RenderViews, "normals"), options=FORGET
    )
    video: BoolProperty(
        name="Video", description=tooltip(messages.RenderViews, "video"), options=FORGET
    )
    overwrite: BoolProperty(
        name="Overwrite", description=tooltip(messages.RenderViews, "overwrite"), options=FORGET
    )
    device: device_property()
