# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that have to do with time, as properties; see `settings.py`."""

from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from .settings import FORGET, FORGET_PATH, CropProperties, device_property
from .worker.protocol import messages, tooltip


class CaptureTimeProperties:
    every_camera: BoolProperty(
        name="All Cameras at Once",
        description=(
            "Where the scene moves, take every frame through all cameras instead of through one "
            "after the other"
        ),
        options=FORGET,
    )
    use_scene_range: BoolProperty(
        name="Scene Range",
        description="The moving scene's time goes over the scene's frame range",
        default=True,
        options=FORGET,
    )
    frame_start: IntProperty(
        name="Time Starts",
        description="Frame at which the moving scene's time is 0, without the scene's range",
        default=1,
        options=FORGET,
    )
    frame_end: IntProperty(
        name="Time Ends",
        description="Frame at which the moving scene's time is 1, without the scene's range",
        default=250,
        options=FORGET,
    )


class FieldTimeProperties:
    """On a field's empty, and animatable there."""

    moves: BoolProperty(
        name="Moves", description="The field was learned from pictures of several moments"
    )
    frame_start: IntProperty(
        name="Time Starts",
        description="Frame of the timeline that shows the first moment of the field",
        default=1,
    )
    frame_end: IntProperty(
        name="Time Ends",
        description="Frame of the timeline that shows the last moment of the field",
        default=250,
    )
    use_retime: BoolProperty(
        name="Retime",
        description=(
            "Show the moment that Field Time says, instead of the timeline's: key it to slow down, "
            "freeze or reverse"
        ),
    )
    field_time: FloatProperty(
        name="Field Time",
        description="Moment of the field, from 0, the first of its pictures, to 1, the last",
        min=0.0,
        max=1.0,
        precision=4,
        step=1,
    )


class RangeProperties:
    use_scene_range: BoolProperty(
        name="Scene Range",
        description="Take the scene's frame range instead of the one given here",
        default=True,
        options=FORGET,
    )
    frame_start: IntProperty(name="Start", description="First frame", default=1, options=FORGET)
    frame_end: IntProperty(name="End", description="Last frame", default=250, options=FORGET)
    frame_step: IntProperty(
        name="Step", description="Frames from one to the next", default=1, min=1, options=FORGET
    )


class MeshSequenceProperties(RangeProperties, CropProperties):
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.ExtractMeshSequence, "resolution"),
        default=128,
        min=8,
        soft_max=512,
        options=FORGET,
    )
    level: FloatProperty(
        name="Level",
        description=tooltip(messages.ExtractMeshSequence, "level"),
        min=0.0,
        options=FORGET,
    )
    keep_components: FloatProperty(
        name="Floaters",
        description=tooltip(messages.ExtractMeshSequence, "keep_components"),
        default=0.02,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options=FORGET,
    )
    keep_unseen: BoolProperty(
        name="Keep Unseen",
        description=tooltip(messages.ExtractMeshSequence, "keep_unseen"),
        options=FORGET,
    )
    output: StringProperty(
        name="Folder",
        description=tooltip(messages.ExtractMeshSequence, "output"),
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    overwrite: BoolProperty(
        name="Overwrite",
        description=tooltip(messages.ExtractMeshSequence, "overwrite"),
        options=FORGET,
    )
    device: device_property()


class BakeProperties(RangeProperties):
    rest_time: FloatProperty(
        name="Rest Time",
        description=tooltip(messages.BakeMotion, "rest_time"),
        default=-1.0,
        min=-1.0,
        max=1.0,
        options=FORGET,
    )
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.BakeMotion, "resolution"),
        default=128,
        min=8,
        soft_max=512,
        options=FORGET,
    )
    level: FloatProperty(
        name="Level", description=tooltip(messages.BakeMotion, "level"), min=0.0, options=FORGET
    )
    tolerance: FloatProperty(
        name="Tolerance",
        description=tooltip(messages.BakeMotion, "tolerance"),
        default=0.002,
        min=1e-6,
        max=1.0,
        precision=4,
        options=FORGET,
    )
    output: StringProperty(
        name="File",
        description=tooltip(messages.BakeMotion, "output"),
        subtype="FILE_PATH",
        options=FORGET_PATH,
    )
    device: device_property()
