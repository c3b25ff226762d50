# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of a rig stand, as properties; see `settings`."""

from bpy.props import EnumProperty, FloatProperty, IntProperty

from .rig_updates import on_rig_change
from .settings import FORGET

RIG_SHAPES = (
    ("HEMISPHERE", "Hemisphere", "Cameras above the subject, evenly spread"),
    ("SPHERE", "Sphere", "Cameras on all sides of the subject, evenly spread"),
    ("ORBIT", "Orbit", "Cameras on a circle around the subject"),
    ("SPIRAL", "Spiral", "Cameras on a spiral that winds up around the subject"),
)


class RigProperties:
    shape: EnumProperty(
        name="Shape",
        description="Where the cameras stand",
        items=RIG_SHAPES,
        update=on_rig_change,
        options=FORGET,
    )
    count: IntProperty(
        name="Cameras",
        description="How many cameras the rig has; 50 to 150 suit most scenes",
        default=80,
        min=2,
        soft_max=300,
        max=10000,
        update=on_rig_change,
        options=FORGET,
    )
    distance: FloatProperty(
        name="Distance",
        description=(
            "How far the cameras stand from the subject's centre; 0 frames the whole subject"
        ),
        default=0.0,
        min=0.0,
        subtype="DISTANCE",
        update=on_rig_change,
        options=FORGET,
    )
    lens: FloatProperty(
        name="Focal Length",
        description="Focal length of the rig's cameras",
        default=50.0,
        min=1.0,
        max=5000.0,
        unit="CAMERA",
        update=on_rig_change,
        options=FORGET,
    )
    lowest_angle: FloatProperty(
        name="Lowest Angle",
        description=(
            "Height of the hemisphere's and the spiral's lowest camera, as an angle above "
            "the "
            "horizon"
        ),
        default=0.0873,
        min=-1.5,
        max=1.5,
        subtype="ANGLE",
        update=on_rig_change,
        options=FORGET,
    )
    orbit_angle: FloatProperty(
        name="Orbit Angle",
        description="Height of the orbit's cameras, as an angle above the horizon",
        default=0.3491,
        min=-1.5,
        max=1.5,
        subtype="ANGLE",
        update=on_rig_change,
        options=FORGET,
    )
    turns: FloatProperty(
        name="Turns",
        description="How often the spiral winds around the subject",
        default=4.0,
        min=0.25,
        max=100.0,
        update=on_rig_change,
        options=FORGET,
    )
    seed: IntProperty(
        name="Seed",
        description="Turns the rig to another position",
        min=0,
        update=on_rig_change,
        options=FORGET,
    )
