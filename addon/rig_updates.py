# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig's cameras move at once when its settings change, so that one sees where they will stand."""

from typing import Any

import bpy
import numpy as np

from .scene.rig_cameras import Placement, put_rig
from .scene.rigs import Rig


def on_rig_change(settings: Any, _context: bpy.types.Context) -> None:
    """Called by Blender where a setting was changed, of the scene's rig or of an operator."""
    scene = settings.id_data
    if isinstance(scene, bpy.types.Scene) and scene.neural_fields.rig.collection is not None:
        renew(scene)


def renew(scene: bpy.types.Scene) -> None:
    """Puts the cameras of a scene's rig where its settings say, around the subject it was made
    for; makes the rig where there is none.
    """
    settings: Any = scene.neural_fields.rig
    if settings.collection is not None:
        if settings.collection not in scene.collection.children_recursive:
            settings.collection = None  # the artist has deleted it
            return
        if settings.collection.library is not None:
            return
    bounds = np.array([settings.subject_min, settings.subject_max], dtype=np.float64)
    rig = Rig(
        shape=settings.shape,
        count=settings.count,
        lowest_angle=settings.lowest_angle,
        orbit_angle=settings.orbit_angle,
        turns=settings.turns,
        seed=settings.seed,
    )
    wanted = Placement(rig=rig, bounds=bounds, distance=settings.distance, lens=settings.lens)
    made = put_rig(scene, settings.collection, wanted)
    if settings.collection != made:
        settings.collection = made
