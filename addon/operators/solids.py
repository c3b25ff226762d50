# SPDX-License-Identifier: GPL-3.0-or-later
"""Constructive solid geometry with objects: exact in their fields, not on their triangles."""

import json
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, StringProperty

from .. import preferences, session, shape_results, shape_updates
from ..scene import meshes
from ..scene.errors import SceneError
from ..scene.files import write_file
from ..scene.primitives import shape_primitive
from ..scene.solids import SolidScene, describe_solid
from ..settings import FORGET
from ..solid_settings import KINDS, SolidProperties
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, choose, device_of, do, reporting, scene_of
from .shape_objects import owner_of, select_only, selected


class NEURALFIELDS_OT_add_csg_primitive(bpy.types.Operator):
    """Add a solid with a formula, to be put together with others"""

    bl_idname = "neural_fields.add_csg_primitive"
    bl_label = "Add Solid"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Solid", description="Which solid is added", items=KINDS, options=FORGET
    )
    radius: FloatProperty(
        name="Radius",
        description="Radius; of a rounded box that of its edges",
        default=1.0,
        min=1e-4,
        subtype="DISTANCE",
        options=FORGET,
    )
    location: FloatVectorProperty(
        name="Location", description="Where the solid lies", subtype="XYZ", options=FORGET
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None

    def execute(self, context: bpy.types.Context) -> Outcome:
        name = dict((kind, label) for kind, label, _ in KINDS)[self.kind]
        mesh = bpy.data.meshes.new(f"Solid {name}")
        item = bpy.data.objects.new(mesh.name, mesh)
        scene_of(context).collection.objects.link(item)
        # It shows where the solid is, and is not to be seen beside what is made of it.
        item.display_type, item.hide_render = "WIRE", True
        at_hand = self.properties.is_property_set("location")
        item.location = self.location if at_hand else context.scene.cursor.location
        primitive = item.neural_field.primitive
        primitive.kind = self.kind
        rounded = self.kind == "rounded_box" and not self.properties.is_property_set("radius")
        primitive.radius = 0.25 if rounded else self.radius
        shape_primitive(mesh, primitive)
        select_only(context, item)
        return {"FINISHED"}


class NEURALFIELDS_OT_mesh_csg(SolidProperties, bpy.types.Operator):
    """Put the selected solids together, from the active one on, or renew the active solid as its
    parts lie now. Exact in their fields, not on triangles
    """

    bl_idname = "neural_fields.mesh_csg"
    bl_label = "Mesh Solids"
    bl_options = {"REGISTER"}

    parts: StringProperty(
        name="Parts",
        description=(
            "Names of the objects to put together in this order, separated by new lines; empty "
            "takes those that are selected"
        ),
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is not None and (_solid_of(context) or len(_selected(context)) > 1):
            return True
        cls.poll_message_set("Select two solids or more, or a solid that is made of others")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene, made = scene_of(context), None
        try:
            with reporting(self):
                chosen = self._parts(context)
                if len(chosen) > 1:
                    made = self._new(scene, chosen)
                solid = made or _solid_of(context)
                if solid is None:
                    raise JobError(
                        "One object alone is nothing to put together.", "Select another too."
                    )
                self._set(solid)
                _tag_all(scene)
                context.view_layer.update()
                job, notes = _job(solid, context.evaluated_depsgraph_get())
            do(self, job, "Mesh solids", session.Target(field=solid.session_uid))
        except RefusedError:
            if made is not None:
                bpy.data.objects.remove(made)
            return {"CANCELLED"}
        for note in notes:
            self.report({"WARNING"}, note)
        select_only(context, solid)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return self.execute(context)

    def _parts(self, context: bpy.types.Context) -> list[bpy.types.Object]:
        if not self.parts:
            return _selected(context)
        found = []
        for name in self.parts.splitlines():
            item = context.scene.objects.get(name)
            if item is None:
                raise JobError(f"There is no object {name!r}.", "Name others.")
            found.append(owner_of(item))
        return found

    def _new(self, scene: bpy.types.Scene, parts: list[bpy.types.Object]) -> bpy.types.Object:
        solid = meshes.add_field_empty(shape_results.SOLID_NAME, scene.collection)
        for part in parts:
            solid.neural_field.solid.parts.add().part = part
        return solid

    def _set(self, solid: bpy.types.Object) -> None:
        """What the operator was told stays with the solid."""
        stored = solid.neural_field.solid
        names = ("operation", "smoothness", "resolution", "level", "device")
        for name, value in choose(self, stored, *names).items():
            setattr(stored, name, value)


def _selected(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected solids, each once, the active one first and the others by name."""
    chosen = {owner_of(item) for item in selected(context)}
    active = owner_of(context.object) if context.object is not None else None
    return sorted(chosen, key=lambda item: (item != active, item.name))


def _solid_of(context: bpy.types.Context) -> bpy.types.Object | None:
    item = owner_of(context.object) if context.object is not None else None
    return item if item is not None and len(item.neural_field.solid.parts) else None


def _tag_all(scene: bpy.types.Scene) -> None:
    """Has what solids are made of evaluated anew: Blender does not notice that properties of an
    add-on were changed by a script.
    """
    for item in scene.objects:
        if shape_results.is_shape(item) or item.neural_field.primitive.kind != "none":
            item.update_tag()


def _job(
    solid: bpy.types.Object, depsgraph: bpy.types.Depsgraph
) -> tuple[messages.MeshShape, list[str]]:
    """The job that meshes a solid as its parts lie now, and what there is to say of it.

    Raises:
        SceneError: where it has no description.
    """
    folder = preferences.runs_folder() / "solids" / bpy.path.clean_name(solid.name)
    scene = SolidScene(depsgraph, folder, owner_of, _file_of)
    values = describe_solid(solid, scene)
    file = folder / "solid.json"
    write_file(file, json.dumps(values, indent=1).encode())
    settings = solid.evaluated_get(depsgraph).neural_field.solid
    job = messages.MeshShape(
        job_id=session.new_job_id(),
        shape=str(file.absolute()),
        output=str(file.with_suffix(".ply").absolute()),
        resolution=settings.resolution,
        level=settings.level,
        device=device_of(settings.device),
    )
    return job, scene.notes


def _file_of(settings: Any) -> dict[str, Any]:
    """A learned shape as a part of a description."""
    asked = shape_updates.asked(settings)
    run = Path(absolute(settings.run)).as_posix()
    if not asked["shape"] and len(settings.shapes) > 1:
        raise SceneError("A family of shapes has no shape chosen.", "Choose its Shape A.")
    part: dict[str, Any] = {"type": "file", "path": f"{run}#{asked['shape']}"}
    if asked["blend_to"]:
        part |= {"blend_to": asked["blend_to"], "blend": asked["blend"]}
    if asked["axes"]:
        part["axes"] = list(asked["axes"])
    return part


CLASSES = (NEURALFIELDS_OT_add_csg_primitive, NEURALFIELDS_OT_mesh_csg)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
