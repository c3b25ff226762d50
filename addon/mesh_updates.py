# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's mesh while its level is changed: a coarse one at once, the fine one afterwards.

As with shapes only the newest request is computed. Colors are baked into the fine mesh alone.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import bpy

from . import session
from .compat import by_session_uid
from .job_options import device_of
from .scene.bounds import box_of
from .scene.chosen import run_of
from .scene.placing import still_there
from .scene.time_maps import time_of_field
from .worker.protocol import messages

QUIET_S = 0.4
"""A change is taken to be the last one when none has followed for this long."""


def on_change(settings: Any, _context: Any) -> None:
    """Called by Blender where the live level was changed by hand or script.

    Without a window nobody looks on, and `neural_fields.extract_mesh` does the work once.
    """
    field = settings.id_data
    if settings.is_live and field.neural_field.run and not bpy.app.background:
        request(field)


def on_switch(settings: Any, context: Any) -> None:
    """Called by Blender where the live level is switched on or off: it begins at the level of the
    mesh that is there.
    """
    surface = still_there(settings.id_data.neural_field.mesh_object)
    level = 0.0 if surface is None else float(surface.get("neural_field_level", 0.0))
    if settings.is_live and level > 0:
        settings.live_level = level  # asks for the mesh too
    else:
        on_change(settings, context)


def request(field: bpy.types.Object) -> None:
    """Has the mesh of a field renewed: coarse as soon as can be, fine once it is quiet."""
    uid, settings = field.session_uid, field.neural_field.mesh
    coarse, fine = coarse_key(uid), fine_key(uid)
    session.drop(fine)
    if settings.coarse_resolution < settings.resolution:
        session.schedule(coarse, 0.0, partial(_start, uid, coarse=True))
    session.schedule(fine, QUIET_S, partial(_start, uid, coarse=False), after=coarse)


def coarse_key(uid: int) -> str:
    return f"coarse surface of {uid}"


def fine_key(uid: int) -> str:
    return f"fine surface of {uid}"


def mesh_job(field: bpy.types.Object, coarse: bool, frame: int) -> messages.ExtractMesh:
    """The job that makes the mesh of the live level.

    Raises:
        SceneError: where the crop box is flat, or the time map has no length.
    """
    settings = field.neural_field.mesh
    run = str(run_of(field))
    lower, upper = _crop(field)
    job = messages.ExtractMesh(
        job_id=session.new_job_id(),
        run=run,
        resolution=settings.resolution,
        surface="density",
        level=settings.live_level,
        crop_min=lower,
        crop_max=upper,
        keep_components=settings.keep_components,
        keep_unseen=settings.keep_unseen,
        keep_faces=settings.keep_faces,
        texture_size=settings.texture_size,
        time=time_of_field(field.neural_field, frame),
        device=device_of(settings.device),
    )
    if not coarse:
        return job
    return replace(
        job,
        output=f"{run}/outputs/coarse_mesh.ply",
        resolution=settings.coarse_resolution,
        keep_unseen=True,
        keep_faces=1.0,
        texture_size=0,
    )


def _crop(field: bpy.types.Object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    settings = field.neural_field.mesh
    if settings.crop_box is not None:
        lower, upper = box_of(settings.crop_box, field)
        return tuple(lower.tolist()), tuple(upper.tolist())
    if settings.use_crop:
        return tuple(settings.crop_min), tuple(settings.crop_max)
    return (), ()


def _start(uid: int, coarse: bool) -> None:
    field = by_session_uid(bpy.data.objects, uid)
    if field is None or not field.neural_field.run:
        return
    scene = next((one for one in bpy.data.scenes if field.name in one.objects), None)
    job = mesh_job(field, coarse, scene.frame_current if scene is not None else 1)
    key = coarse_key(uid) if coarse else fine_key(uid)
    session.submit(job, "Coarse mesh" if coarse else "Mesh", session.Target(field=uid), key=key)
