# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's mesh in place of the field, where another engine renders the scene around it."""

from typing import Literal

import bpy

from .placing import still_there

Role = Literal["NONE", "SHADOW", "HOLDOUT", "HIDDEN"]


def meshes_of(field: bpy.types.Object) -> list[bpy.types.Object]:
    """The surfaces of a field that were extracted."""
    settings = field.neural_field
    found = (settings.mesh_object, settings.sequence_object, settings.motion_object)
    return [item for item in found if still_there(item) is not None]


def visible_meshes(field: bpy.types.Object) -> list[bpy.types.Object]:
    """Those that a render of the scene shows."""
    return [mesh for mesh in meshes_of(field) if role_of(mesh) == "NONE"]


def role_of(mesh: bpy.types.Object) -> Role:
    """What a mesh is for in a render."""
    if mesh.hide_render:
        return "HIDDEN"
    if mesh.is_holdout:
        return "HOLDOUT"
    return "SHADOW" if mesh.is_shadow_catcher else "NONE"


def set_role(mesh: bpy.types.Object, role: Role) -> None:
    """Each role takes the place of the one before; NONE gives the mesh back as it was made."""
    mesh.hide_render = role == "HIDDEN"
    mesh.is_holdout = role == "HOLDOUT"
    mesh.is_shadow_catcher = role == "SHADOW"
