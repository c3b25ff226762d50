# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object is in any scene, and where a new one goes."""

import bpy


def still_there(item: bpy.types.Object | None) -> bpy.types.Object | None:
    """An object that a property names, or None: one that was deleted lives on, in no scene, as long
    as a property points to it.
    """
    return item if item is not None and item.users_scene else None


def link_beside(item: bpy.types.Object, other: bpy.types.Object) -> None:
    """Puts an object into the collections of another; into its scenes, where the collections lie in
    another file or override one from there, which takes no new objects.
    """
    found = [one for one in other.users_collection if _takes_objects(one)]
    for collection in found or [scene.collection for scene in other.users_scene]:
        if item.name not in collection.objects:
            collection.objects.link(item)


def _takes_objects(collection: bpy.types.Collection) -> bool:
    return collection.library is None and collection.override_library is None
