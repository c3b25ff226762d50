# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's surface at each frame as one object, played by Blender's Mesh Sequence Cache."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from ..compat import usd_modules, window_override
from .errors import SceneError
from .images import relative_path
from .meshes import color_material, show_colors_in_solid_view
from .placing import link_beside, still_there
from .ply import read_ply
from .usd_meshes import PRIM, write_usd

STEM = "sequence"
_NOT_IMPORTED = (
    "set_frame_range",
    "import_materials",
    "import_usd_preview",
    "import_cameras",
    "import_lights",
    "create_world_material",
)


def put_mesh_sequence(
    field: bpy.types.Object,
    existing: bpy.types.Object | None,
    files: Sequence[Path],
    frames: Sequence[int],
    fps: float,
) -> bpy.types.Object:
    """Plays the meshes in `files`, each at its frame of the timeline, as a child of the field.

    Name, materials, modifiers and transforms of an existing object stay. The USD file, beside the
    meshes, has a new name each time, since Blender keeps open what it plays.

    Raises:
        SceneError: where a mesh cannot be read, or the sequence cannot be written or played.
    """
    order = sorted(range(len(files)), key=lambda index: frames[index])
    meshes = (read_ply(files[index]) for index in order)
    stem = _unused(files[0].parent)
    try:
        path = write_usd(stem, [frames[index] for index in order], meshes, fps, usd_modules())
    except OSError as error:
        raise SceneError(
            f"{stem.parent} cannot be written: {error.strerror}.",
            "Choose a folder that you may write to, on a disk with free space.",
        ) from error
    existing = still_there(existing)
    cache = None if existing is None else _cache_of(existing)
    colored = read_ply(files[order[0]]).colors is not None
    if existing is None:
        return _import(field, path, colored)
    if cache is None:  # of a single frame Blender makes a plain mesh
        made = _import(field, path, colored)
        bpy.data.objects.remove(existing)
        return made
    before = Path(bpy.path.abspath(cache.filepath))
    cache.filepath = relative_path(path)
    if before.parent == path.parent and before.name.startswith(STEM):
        with contextlib.suppress(OSError):  # Windows does not delete what is open
            before.unlink(missing_ok=True)
    return existing


def _import(field: bpy.types.Object, path: Path, colored: bool) -> bpy.types.Object:
    layer = bpy.context.view_layer
    active = layer.objects.active
    selected = {item for item in layer.objects if item.select_get()}
    before = set(bpy.data.objects)
    if not bpy.app.build_options.usd:
        raise SceneError(
            f"This Blender cannot read USD, so the meshes stay in {path.parent}.",
            "Use a Blender from blender.org.",
        )
    importer: Any = bpy.ops.wm.usd_import  # the stubs know neither its options nor its type
    known = importer.get_rna_type().properties.keys()
    switched_off = {name: False for name in _NOT_IMPORTED if name in known}
    with window_override():
        importer(filepath=str(path), read_mesh_colors=True, **switched_off)
    made = [item for item in bpy.data.objects if item not in before]
    found = next((item for item in made if _cache_of(item) is not None), None)
    if found is None:
        # A single frame needs no modifier.
        found = next((item for item in made if item.type == "MESH"), None)
    if found is None:
        raise SceneError(f"Blender found no mesh in {path}.", "Extract the sequence again.")
    cache = _cache_of(found)
    if cache is not None:
        cache.filepath = relative_path(path)
    found.name = found.data.name = f"{field.name} Mesh Sequence"
    found.parent = field
    if colored:
        found.data.materials.append(color_material())
    for collection in list(found.users_collection):
        collection.objects.unlink(found)
    link_beside(found, field)
    for item in layer.objects:
        item.select_set(item in selected)
    layer.objects.active = active
    show_colors_in_solid_view()
    return found


def _cache_of(item: bpy.types.Object) -> bpy.types.CacheFile | None:
    """What the object's Mesh Sequence Cache plays."""
    for modifier in item.modifiers:
        if modifier.type == "MESH_SEQUENCE_CACHE" and modifier.object_path == PRIM:
            return modifier.cache_file
    return None


def _unused(folder: Path) -> Path:
    """The path without ending of the next sequence in a folder."""
    number = 1
    while any(folder.glob(f"{STEM}_{number:03d}.usd*")):
        number += 1
    return folder / f"{STEM}_{number:03d}"
