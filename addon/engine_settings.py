# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine's settings, as properties; see `settings.py`."""

from bpy.props import EnumProperty, IntProperty

from .settings import device_property

VIEWPORT_QUALITIES = (
    ("1", "Full", "Every pixel of the viewport, once the view is still"),
    ("2", "Half", "Half as many pixels each way: four times faster"),
    ("4", "Quarter", "A quarter of the pixels each way: sixteen times faster"),
)


class EngineProperties:
    samples: IntProperty(
        name="Samples",
        description=(
            "Rays through each pixel, along each side: 2 takes four rays a pixel and smooths "
            "edges, in four times the time"
        ),
        default=1,
        min=1,
        max=8,
        soft_max=4,
    )
    viewport_quality: EnumProperty(
        name="Viewport",
        description="How fine the picture in the viewport becomes while the view is still",
        items=VIEWPORT_QUALITIES,
        default="1",
    )
    device: device_property()
