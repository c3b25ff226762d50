# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that have to do with shapes, as properties; see `settings.py`."""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from .motion_settings import RangeProperties
from .settings import FORGET, FORGET_PATH, PRESETS, device_property
from .shape_updates import on_change
from .worker.protocol import messages, tooltip

NUM_AXES = 6

METHODS = (
    ("auto", "Auto", "A hash grid of distances for one mesh, DeepSDF for several"),
    ("neural_sdf", "Hash Grid", "One mesh, fast and with fine detail"),
    ("structured_implicit", "Gaussians", "One mesh, by ellipsoids that can be moved"),
    ("deep_sdf", "DeepSDF", "A family of meshes, with a code for each"),
    ("occupancy_network", "Occupancy Network", "A family of meshes, found from their points"),
)
SPACES = (
    (
        "OBJECT",
        "Object",
        "About the mesh's own origin and turned as it is, so that meshes which stand side by side "
        "become one family",
    ),
    ("WORLD", "World", "As it lies in the scene"),
)
PICTURE_ENCODINGS = (
    ("gaussian", "Gaussian", "Random Fourier features: fine detail"),
    ("positional", "Positional", "Fourier features along the axes"),
    ("basic", "Basic", "One period along each side: smooth"),
    ("none", "None", "Nothing but the place: very smooth"),
)


class FitShapeProperties:
    method: EnumProperty(
        name="Method",
        description=tooltip(messages.FitShape, "method"),
        items=METHODS,
        default="auto",
        options=FORGET,
    )
    space: EnumProperty(
        name="Space",
        description="Where the meshes are taken to lie",
        items=SPACES,
        default="OBJECT",
        options=FORGET,
    )
    preset: EnumProperty(
        name="Preset",
        description=tooltip(messages.FitShape, "preset"),
        items=PRESETS,
        default="standard",
        options=FORGET,
    )
    steps: IntProperty(
        name="Steps", description=tooltip(messages.FitShape, "steps"), min=0, options=FORGET
    )
    seconds: FloatProperty(
        name="Seconds", description=tooltip(messages.FitShape, "seconds"), min=0.0, options=FORGET
    )
    seed: IntProperty(
        name="Seed", description=tooltip(messages.FitShape, "seed"), min=0, options=FORGET
    )
    samples: IntProperty(
        name="Samples", description=tooltip(messages.FitShape, "samples"), min=0, options=FORGET
    )
    resume: BoolProperty(
        name="Resume", description=tooltip(messages.FitShape, "resume"), options=FORGET
    )
    settings: StringProperty(
        name="Settings",
        description=tooltip(messages.FitShape, "settings") + ", separated by spaces",
        options=FORGET,
    )
    run: StringProperty(
        name="Run",
        description=tooltip(messages.FitShape, "run") + "; empty chooses one",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    device: device_property()


class FitLatentProperties:
    partial: BoolProperty(
        name="Partial", description=tooltip(messages.FitLatent, "partial"), options=FORGET
    )
    space: EnumProperty(
        name="Space",
        description="Where the mesh is taken to lie",
        items=(
            SPACES[0],
            ("SHAPE", "Shape", "As it lies in the scene, seen from the family's empty"),
        ),
        default="OBJECT",
        options=FORGET,
    )
    use_viewpoint: BoolProperty(
        name="Seen from Camera",
        description="The partial mesh was seen from the scene's camera: space up to it is free",
        options=FORGET,
    )
    steps: IntProperty(
        name="Steps", description=tooltip(messages.FitLatent, "steps"), min=0, options=FORGET
    )
    seed: IntProperty(
        name="Seed", description=tooltip(messages.FitLatent, "seed"), min=0, options=FORGET
    )
    device: device_property()


def _search_shapes(self: Any, _context: bpy.types.Context, _text: str) -> list[str]:
    return [one.name for one in self.shapes]


class ShapeProperties:
    """On a shape's empty, and animatable there: a change asks for a new mesh."""

    shape: StringProperty(
        name="Shape A",
        description=tooltip(messages.ExtractMesh, "shape"),
        search=_search_shapes,
        update=on_change,
    )
    blend_to: StringProperty(
        name="Shape B",
        description=tooltip(messages.ExtractMesh, "blend_to"),
        search=_search_shapes,
        update=on_change,
    )
    blend: FloatProperty(
        name="Blend",
        description=tooltip(messages.ExtractMesh, "blend"),
        soft_min=0.0,
        soft_max=1.0,
        update=on_change,
    )
    axes: FloatVectorProperty(
        name="Axes",
        description=tooltip(messages.ExtractMesh, "axes"),
        size=NUM_AXES,
        default=(0.0,) * NUM_AXES,
        soft_min=-3.0,
        soft_max=3.0,
        update=on_change,
    )
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.ExtractMesh, "resolution"),
        default=128,
        min=8,
        soft_max=512,
        update=on_change,
    )
    coarse_resolution: IntProperty(
        name="Coarse Resolution",
        description="Resolution of the mesh that is shown while something changes",
        default=32,
        min=8,
        soft_max=128,
    )
    level: FloatProperty(
        name="Level",
        description="How far outwards the surface is moved; for occupancies, how much the value is",
        subtype="DISTANCE",
        update=on_change,
    )
    device: device_property()


class BakeShapeProperties(RangeProperties):
    output: StringProperty(
        name="Folder",
        description="Folder for the meshes and the file that plays them; empty for one in the run",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )


class FitImageProperties:
    width: IntProperty(
        name="Width", description=tooltip(messages.FitImage, "width"), min=0, options=FORGET
    )
    encoding: EnumProperty(
        name="Encoding",
        description=tooltip(messages.FitImage, "encoding"),
        items=PICTURE_ENCODINGS,
        default="gaussian",
        options=FORGET,
    )
    scale: FloatProperty(
        name="Scale",
        description=tooltip(messages.FitImage, "scale"),
        default=10.0,
        min=1e-3,
        max=1e4,
        options=FORGET,
    )
    steps: IntProperty(
        name="Steps", description=tooltip(messages.FitImage, "steps"), min=0, options=FORGET
    )
    seed: IntProperty(
        name="Seed", description=tooltip(messages.FitImage, "seed"), min=0, options=FORGET
    )
    device: device_property()
