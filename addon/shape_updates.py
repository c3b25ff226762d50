# SPDX-License-Identifier: GPL-3.0-or-later
"""A shape's mesh while an artist changes it: a coarse one at once, the fine one afterwards.

Only the newest request is computed. A coarse mesh that is on its way is let arrive, since a slide
would show nothing otherwise; a fine one is cancelled by the next change.
"""

from functools import partial
from pathlib import Path
from typing import Any

import bpy

from . import session
from .compat import by_session_uid
from .job_options import absolute, device_of
from .scene.elements import element_empties, write_elements
from .worker.protocol import messages

QUIET_S = 0.4
"""A change is taken to be the last one when none has followed for this long."""


def on_change(settings: Any, _context: bpy.types.Context) -> None:
    """Called by Blender where a property of a shape was changed by hand or script.

    Without a window nobody looks on, and `neural_fields.update_shape` does the work once.
    """
    if not bpy.app.background and settings.run:
        request(settings.id_data)


def request(shape: bpy.types.Object) -> None:
    """Has the mesh of a shape renewed: coarse as soon as can be, fine once it is quiet."""
    uid, settings = shape.session_uid, shape.neural_field.shape
    coarse, fine = coarse_key(uid), fine_key(uid)
    session.drop(fine)
    if settings.coarse_resolution < settings.resolution:
        session.schedule(coarse, 0.0, partial(_start, uid, coarse=True))
    # Where meshes take long, the fine one must not be followed by a coarse one.
    session.schedule(fine, QUIET_S, partial(_start, uid, coarse=False), after=coarse)


def coarse_key(uid: int) -> str:
    return f"coarse mesh of {uid}"


def fine_key(uid: int) -> str:
    return f"fine mesh of {uid}"


def mesh_job(shape: bpy.types.Object, resolution: int) -> messages.ExtractMesh:
    """The job that makes the mesh which a shape's properties ask for.

    Raises:
        SceneError: where its elements cannot be written.
    """
    settings = shape.neural_field.shape
    run = Path(absolute(settings.run))
    outputs = run / "outputs" / "shapes"
    elements = ""
    if element_empties(shape):
        elements = str(write_elements(shape, outputs / f"elements_{shape.session_uid}.json"))
    return messages.ExtractMesh(
        job_id=session.new_job_id(),
        run=str(run),
        output=str(outputs / f"{shape.session_uid}_{resolution}.ply"),
        resolution=resolution,
        elements=elements,
        device=device_of(settings.device),
        **asked(settings),
    )


def asked(settings: Any) -> dict[str, Any]:
    """What the properties of a shape, evaluated or not, say about its form."""
    blended = bool(settings.blend_to)
    steps = [float(step) for step in settings.axes]
    while steps and steps[-1] == 0:  # a small family has fewer axes than there are sliders
        steps.pop()
    return {
        "shape": settings.shape,
        "blend_to": settings.blend_to if blended else "",
        "blend": settings.blend if blended else 0.0,
        "axes": tuple(steps),
        "level": settings.level,
    }


def _start(uid: int, coarse: bool) -> None:
    shape = by_session_uid(bpy.data.objects, uid)
    if shape is None or not shape.neural_field.shape.run:
        return
    settings = shape.neural_field.shape
    job = mesh_job(shape, settings.coarse_resolution if coarse else settings.resolution)
    key = coarse_key(uid) if coarse else fine_key(uid)
    label = "Coarse mesh" if coarse else "Mesh"
    session.submit(job, label, session.Target(field=uid), key=key)
