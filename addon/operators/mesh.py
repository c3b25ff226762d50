# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface of a field as a mesh."""

import bpy

from .. import session
from ..scene.time_maps import times_along
from ..settings import MeshProperties
from ..worker.protocol import messages
from .bounds import crop_of
from .jobs import (
    OnField,
    Outcome,
    RefusedError,
    choose,
    device_of,
    do,
    field_of,
    reporting,
    run_of,
    scene_of,
)


class NEURALFIELDS_OT_extract_mesh(OnField, MeshProperties, bpy.types.Operator):
    """Make a mesh with colors of the field's surface, or renew the one it has. Of a moving field it
    is that of the current frame
    """

    bl_idname = "neural_fields.extract_mesh"
    bl_label = "Extract Mesh"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        field = field_of(context)
        assert field is not None  # by poll
        names = (
            "resolution",
            "surface",
            "level",
            "keep_components",
            "keep_unseen",
            "keep_faces",
            "texture_size",
            "device",
        )
        stored = field.neural_field.mesh
        options = choose(self, stored, *names)
        given = any(self.properties.is_property_set(name) for name in ("surface", "level"))
        if stored.is_live and not given and options["surface"] != "depth":
            # What is looked at was made of this level.
            options["surface"], options["level"] = "density", stored.live_level
        scene = scene_of(context)
        try:
            with reporting(self):
                now = range(scene.frame_current, scene.frame_current + 1)
                (time,) = times_along(scene, field, now).values()
                crop_min, crop_max = crop_of(self, stored, field)
        except RefusedError:
            return {"CANCELLED"}
        job = messages.ExtractMesh(
            job_id=session.new_job_id(),
            run=str(run_of(field)),
            resolution=options["resolution"],
            surface=options["surface"],
            level=options["level"],
            crop_min=crop_min,
            crop_max=crop_max,
            keep_components=options["keep_components"],
            keep_unseen=options["keep_unseen"],
            keep_faces=options["keep_faces"],
            texture_size=options["texture_size"],
            time=time,
            device=device_of(options["device"]),
        )
        target = session.Target(scene=scene.session_uid, field=field.session_uid)
        try:
            do(self, job, "Extract mesh", target)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_extract_mesh)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_extract_mesh)
