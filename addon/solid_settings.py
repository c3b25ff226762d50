# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of solids that are made of others, as properties; see `settings.py`."""

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, IntProperty

from .scene.primitives import PRIMITIVES, shape_primitive
from .settings import FORGET, device_property
from .worker.protocol import messages, tooltip

OPERATIONS = (
    ("union", "Union", "All that is in any part"),
    ("difference", "Difference", "The first part without the others"),
    ("intersection", "Intersection", "What is in all parts"),
)
KINDS = tuple((kind, name, description) for kind, (name, description) in PRIMITIVES.items())


def _reshape(settings: Any, _context: bpy.types.Context) -> None:
    item = settings.id_data
    if settings.kind != "none" and isinstance(item.data, bpy.types.Mesh):
        shape_primitive(item.data, settings)


def _length(name: str, description: str, default: float, least: float = 1e-4) -> Any:
    return FloatProperty(  # type: ignore[func-returns-value]
        name=name,
        description=description,
        default=default,
        min=least,
        subtype="DISTANCE",
        update=_reshape,
    )


class PrimitiveProperties:
    """On the mesh that shows a solid with a formula, which is exact however coarse the mesh is."""

    kind: EnumProperty(
        name="Solid",
        description="Which solid the object is",
        items=(("none", "None", "The object is no solid with a formula"), *KINDS),
        default="none",
        update=_reshape,
    )
    radius: _length("Radius", "Radius; of a rounded box that of its edges", 1.0)
    top_radius: _length("Top Radius", "Radius of a cone's upper end", 0.0, 0.0)
    tube_radius: _length("Tube Radius", "Radius of the tube of a torus", 0.25)
    height: _length("Height", "Height; of a capsule between the centers of its ends", 2.0)
    size: FloatVectorProperty(
        name="Size",
        description="Lengths of a box's sides",
        default=(2.0, 2.0, 2.0),
        min=1e-4,
        subtype="XYZ",
        update=_reshape,
    )


class SolidProperties:
    operation: EnumProperty(
        name="Operation",
        description="How the parts are put together",
        items=OPERATIONS,
        default="union",
        options=FORGET,
    )
    smoothness: FloatProperty(
        name="Smoothness",
        description="Width over which seams are rounded, in scene units",
        min=0.0,
        subtype="DISTANCE",
        options=FORGET,
    )
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.MeshShape, "resolution"),
        default=256,
        min=8,
        soft_max=1024,
        options=FORGET,
    )
    level: FloatProperty(
        name="Level",
        description=tooltip(messages.MeshShape, "level"),
        subtype="DISTANCE",
        options=FORGET,
    )
    device: device_property()
