# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's motion as meshes: one a frame, or one whose vertices follow."""

from collections.abc import Iterator

import bpy
import numpy as np
from bpy.props import StringProperty

from .. import session
from ..motion_settings import BakeProperties, MeshSequenceProperties
from ..scene.motion_caches import matrix_between, write_vertices
from ..scene.placing import still_there
from ..scene.time_maps import times_along
from ..settings import FORGET
from ..worker.protocol import JobError, messages
from .bounds import crop_of
from .jobs import (
    OnField,
    Outcome,
    RefusedError,
    absolute,
    choose,
    device_of,
    do,
    field_of,
    frames_of,
    reporting,
    run_of,
    scene_of,
)


class NEURALFIELDS_OT_extract_mesh_sequence(OnField, MeshSequenceProperties, bpy.types.Operator):
    """Make a mesh of the field's surface at each frame, and play them as one object"""

    bl_idname = "neural_fields.extract_mesh_sequence"
    bl_label = "Extract Mesh Sequence"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        field, scene = field_of(context), scene_of(context)
        assert field is not None  # by poll
        stored = field.neural_field.mesh_sequence
        kept = ("resolution", "level", "keep_components", "keep_unseen", "overwrite")
        options = choose(self, stored, "output", "device")
        try:
            with reporting(self):
                times = times_along(scene, field, frames_of(self, stored, scene))
                crop_min, crop_max = crop_of(self, stored, field)
            job = messages.ExtractMeshSequence(
                job_id=session.new_job_id(),
                run=str(run_of(field)),
                output=absolute(options["output"]),
                frames=tuple(times),
                times=tuple(times.values()),
                crop_min=crop_min,
                crop_max=crop_max,
                device=device_of(options["device"]),
                **choose(self, stored, *kept),
            )
            target = session.Target(scene=scene.session_uid, field=field.session_uid)
            do(self, job, "Extract mesh sequence", target)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return self.execute(context)


class NEURALFIELDS_OT_bake_motion(OnField, BakeProperties, bpy.types.Operator):
    """Have the vertices of a mesh follow the field's motion, so that its UVs and materials stay.
    Takes the active mesh of the field, or makes one
    """

    bl_idname = "neural_fields.bake_motion"
    bl_label = "Bake Motion"
    bl_options = {"REGISTER"}

    mesh_name: StringProperty(
        name="Mesh",
        description="Object whose vertices move; empty for the active one, if it is the field's",
        options=FORGET,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        field, scene = field_of(context), scene_of(context)
        assert field is not None  # by poll
        stored = field.neural_field.bake
        job_id, run = session.new_job_id(), run_of(field)
        options = choose(self, stored, "output", "device", "resolution", "level", "tolerance")
        try:
            with reporting(self):
                times = times_along(scene, field, frames_of(self, stored, scene))
                moved = self._mesh(context, field)
                file = run / "outputs" / "motion" / f"{job_id}.ply"
                matrix: tuple[float, ...] = ()
                if moved is not None:
                    write_vertices(moved, file)
                    depsgraph = context.evaluated_depsgraph_get()
                    matrix = tuple(matrix_between(moved, field, depsgraph).ravel().tolist())
                    matrix = () if np.allclose(np.reshape(matrix, (4, 4)), np.eye(4)) else matrix
            default = run / "outputs" / "motion" / f"{job_id}.pc2"
            job = messages.BakeMotion(
                job_id=job_id,
                run=str(run),
                mesh=str(file) if moved is not None else "",
                output=absolute(options.pop("output")) or str(default),
                frames=tuple(times),
                times=tuple(times.values()),
                rest_time=self._rest_time(moved, stored),
                mesh_to_field=matrix,
                device=device_of(options.pop("device")),
                **options,
            )
            target = session.Target(
                scene=scene.session_uid,
                field=field.session_uid,
                mesh=moved.session_uid if moved is not None else 0,
            )
            record = do(self, job, "Bake motion", target)
        except RefusedError:
            return {"CANCELLED"}
        if record.note:
            self.report({"INFO"}, record.note)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return self.execute(context)

    def _mesh(self, context: bpy.types.Context, field: bpy.types.Object) -> bpy.types.Object | None:
        """The mesh that is to move; None where one has to be made."""
        settings = field.neural_field
        if self.mesh_name:
            found = context.scene.objects.get(self.mesh_name)
            if found is None or found.type != "MESH":
                raise JobError(f"There is no mesh {self.mesh_name!r}.", "Choose another object.")
            return found
        active = context.object
        if (
            active is not None
            and active.type == "MESH"
            and active != settings.sequence_object
            and field in _ancestors(active)
        ):
            return active
        moving = still_there(settings.motion_object)
        return moving if moving is not None and moving.type == "MESH" else None

    def _rest_time(self, moved: bpy.types.Object | None, stored: bpy.types.PropertyGroup) -> float:
        """The moment in whose pose a mesh is: one that was extracted says so itself."""
        chosen = choose(self, stored, "rest_time")["rest_time"]
        if chosen < 0 and moved is not None:
            return float(moved.get("neural_field_time", -1.0))
        return float(chosen)


def _ancestors(item: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """What an object hangs on, and what that hangs on."""
    while (parent := item.parent) is not None:
        yield parent
        item = parent


CLASSES = (NEURALFIELDS_OT_extract_mesh_sequence, NEURALFIELDS_OT_bake_motion)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
