# SPDX-License-Identifier: GPL-3.0-or-later
"""What finished jobs about shapes become in the open file."""

from collections.abc import Iterable
from pathlib import Path

import bpy
from mathutils import Matrix

from . import session
from .compat import by_session_uid
from .job_options import absolute
from .scene import images, meshes
from .scene.errors import SceneError
from .scene.ply import read_ply
from .scene.shape_runs import shapes_of_run
from .worker.protocol import messages

SHAPE_NAME, SOLID_NAME = "Neural Shape", "Neural Solid"
LEARNED_SUFFIX = "Learned"


def shape_of_run(scene: bpy.types.Scene, run: Path) -> bpy.types.Object | None:
    """The empty that stands for a run of shapes in this scene."""
    for item in scene.objects:
        stored = item.neural_field.shape.run
        if stored and Path(absolute(stored)).resolve() == run.resolve():
            return item
    return None


def put_shape(scene: bpy.types.Scene, run: Path, matrix: Matrix, space: str) -> bpy.types.Object:
    """The empty of a run of shapes, made where there is none; it shows the first of them.

    Raises:
        SceneError: where the run has no shapes.
    """
    learned = shapes_of_run(run)
    if learned is None:
        raise SceneError(f"{run} has no shapes.", "Choose a folder that a fitting wrote.")
    shape = shape_of_run(scene, run)
    if shape is None:
        shape = meshes.add_field_empty(SHAPE_NAME, scene.collection)
        shape.matrix_world = matrix
    settings = shape.neural_field.shape
    settings.run, settings.method = images.relative_path(run), learned.method
    settings.space = space
    shape.neural_field.method, shape.neural_field.steps = learned.method, learned.steps
    name_shapes(shape, learned.names)
    name_shapes(shape, learned.found, found=True)
    if len(learned.names) > 1 and settings.shape not in settings.shapes:
        settings.shape, settings.blend_to = learned.names[:2]
    return shape


def name_shapes(shape: bpy.types.Object, names: Iterable[str], found: bool = False) -> None:
    """Adds what the run knows to the names that can be chosen."""
    known = shape.neural_field.shape.shapes
    for name in names:
        if name not in known:
            added = known.add()
            added.name, added.is_found = name, found


def bring_in_latent(event: messages.LatentFitted, record: session.JobRecord) -> bool:
    shape = by_session_uid(bpy.data.objects, record.target.field)
    if shape is None:
        return False
    settings = shape.neural_field.shape
    name_shapes(shape, [event.name], found=True)
    settings.blend, settings.axes = 0.0, [0.0] * len(settings.axes)
    settings.shape = event.name
    record.note = (
        f"{event.name} is found: what was seen of it lies {event.error:.2g} from its surface on "
        "average"
    )
    return True


def is_shape(item: bpy.types.Object) -> bool:
    """Whether an empty stands for a learned shape or for a solid made of others."""
    settings = item.neural_field
    return bool(settings.shape.run) or len(settings.solid.parts) > 0


def bring_in_shape_mesh(event: messages.MeshReady, record: session.JobRecord) -> bool:
    """Shows the mesh below the empty, in place of the one before or of its baked sequence."""
    item = by_session_uid(bpy.data.objects, record.target.field)
    if item is None or record.cancel_asked:
        return False
    settings = item.neural_field
    shown = meshes.put_mesh(item, settings.mesh_object, read_ply(Path(event.output)))
    settings.mesh_object = shown
    shown["neural_field_run"] = settings.shape.run
    shown["neural_field_level"] = getattr(record.job, "level", 0.0)
    shown["neural_field_resolution"] = getattr(record.job, "resolution", 0)
    show_only(item, shown)
    return True


def show_only(item: bpy.types.Object, shown: bpy.types.Object) -> None:
    """Hides the mesh or the sequence of a shape, so that the other is seen alone."""
    settings = item.neural_field
    for other in (settings.mesh_object, settings.sequence_object):
        if other is not None:
            other.hide_viewport = other.hide_render = other != shown


def bring_in_image(event: messages.ImageFitted, record: session.JobRecord) -> bool:
    image = images.load_image(Path(event.output))
    image.reload()
    source = Path(record.job.image).stem if isinstance(record.job, messages.FitImage) else ""
    image.name = f"{source} {LEARNED_SUFFIX}".strip()
    image["neural_field_psnr"] = event.psnr
    record.note = (
        f"{image.name}, {event.width} x {event.height}, PSNR {event.psnr:.1f} dB at the old size"
    )
    return True
