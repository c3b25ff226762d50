# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of what leaves a field, as properties; see `settings`."""

from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    StringProperty,
)

from .motion_settings import RangeProperties
from .settings import FORGET, FORGET_PATH, CropProperties, device_property
from .worker.protocol import messages, tooltip

DIALECTS = (
    ("nerfstudio", "Nerfstudio", "transforms.json with lists of the splits"),
    ("instant_ngp", "Instant NGP", "transforms.json as instant-ngp writes it"),
    ("nerf_synthetic", "NeRF Synthetic", "transforms_train.json and its sisters"),
    ("colmap_text", "COLMAP Text", "A sparse model as text, for splats and photogrammetry"),
    ("colmap_binary", "COLMAP Binary", "A sparse model as COLMAP itself writes it"),
    ("llff", "LLFF", "poses_bounds.npy, for cameras that look one way"),
)


class ViewTargetProperties:
    """Where rendered views are shown; any number of them."""

    as_background: BoolProperty(
        name="Camera Background",
        description="Show the pictures behind the scene in the camera's view",
        default=True,
        options=FORGET,
    )
    as_plane: BoolProperty(
        name="Image Plane",
        description="Show the pictures on a plane before the camera, which renders see as well",
        options=FORGET,
    )
    as_clip: BoolProperty(
        name="Movie Clip",
        description="Open the pictures as a movie clip",
        options=FORGET,
    )
    as_strip: BoolProperty(
        name="Video Strip",
        description="Put the pictures into the video sequencer",
        options=FORGET,
    )
    as_composite: BoolProperty(
        name="Compositor",
        description=(
            "Put the pictures in front of and behind the scene by their depth, in the compositor"
        ),
        options=FORGET,
    )


class VolumeProperties(RangeProperties, CropProperties):
    resolution: IntProperty(
        name="Resolution",
        description=tooltip(messages.ExtractVolume, "resolution"),
        default=192,
        min=8,
        soft_max=512,
        max=1024,
        options=FORGET,
    )
    animated: BoolProperty(
        name="Every Frame",
        description="Of a field that moves, a volume at each frame; otherwise that of this frame",
        default=True,
        options=FORGET,
    )
    smallest_opacity: FloatProperty(
        name="Smallest Opacity",
        description=tooltip(messages.ExtractVolume, "smallest_opacity"),
        default=0.0003,
        min=0.0,
        max=0.5,
        precision=4,
        options=FORGET,
    )
    largest_opacity: FloatProperty(
        name="Largest Opacity",
        description=tooltip(messages.ExtractVolume, "largest_opacity"),
        default=0.9999,
        min=0.5,
        max=0.9999999,
        precision=5,
        options=FORGET,
    )
    output: StringProperty(
        name="Folder",
        description=(
            "Where the volumes go, a .vdb a frame. Empty for outputs/volume in the run folder"
        ),
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    device: device_property()


class ExportProperties:
    dialect: EnumProperty(
        name="Format",
        description="How other programs want the capture",
        items=DIALECTS,
        default="nerfstudio",
        options=FORGET,
    )
    output: StringProperty(
        name="Folder",
        description="Folder to write, pictures and all; empty for a new one under the runs folder",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
