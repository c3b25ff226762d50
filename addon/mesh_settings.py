# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of a field's mesh that change it while they are changed."""

from typing import Any

from bpy.props import BoolProperty, FloatProperty, IntProperty

from .mesh_updates import on_change, on_switch


def _level_changed(settings: Any, context: Any) -> None:
    on_change(settings, context)


def _switched(settings: Any, context: Any) -> None:
    on_switch(settings, context)


class LiveLevelProperties:
    live_level: FloatProperty(
        name="Live Level",
        description=(
            "Density of the surface, per scene unit. While it is changed a coarse mesh follows, "
            "then the fine one"
        ),
        default=10.0,
        min=0.001,
        soft_max=200.0,
        update=_level_changed,
    )
    is_live: BoolProperty(
        name="Live",
        description="Make the mesh anew whenever the live level is changed",
        update=_switched,
    )
    coarse_resolution: IntProperty(
        name="Coarse Resolution",
        description="Resolution of the mesh that is shown while the live level is changed",
        default=64,
        min=8,
        soft_max=256,
    )
