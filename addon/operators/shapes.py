# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that are learned from meshes: fit them, change them, find others among them."""

from functools import partial
from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty
from mathutils import Matrix

from .. import preferences, session, shape_results, shape_updates
from ..compat import by_session_uid
from ..scene.elements import put_elements, read_elements
from ..scene.mesh_files import rigid_part, write_meshes
from ..settings import FORGET
from ..shape_settings import FitLatentProperties, FitShapeProperties
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, choose, device_of, do, reporting, scene_of
from .shape_objects import OnShape, parts_of_results, select_only, selected_meshes, shape_of


class NEURALFIELDS_OT_fit_shape(FitShapeProperties, bpy.types.Operator):
    """Learn the selected meshes, as they look with their modifiers. One becomes a shape, several a
    family between which others lie
    """

    bl_idname = "neural_fields.fit_shape"
    bl_label = "Fit Field to Mesh"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is not None and selected_meshes(context):
            return True
        cls.poll_message_set("Select one mesh, or several that are of a kind")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene, items = scene_of(context), selected_meshes(context)
        stored = scene.neural_fields.fit_shape
        options = choose(
            self, stored, "method", "preset", "steps", "seconds", "seed", "samples", "resume"
        )
        own = choose(self, stored, "space", "run", "settings", "device")
        run = Path(absolute(own["run"]) or preferences.new_folder("shape"))
        in_own_space = own["space"] == "OBJECT"
        depsgraph = context.evaluated_depsgraph_get()
        try:
            with reporting(self):
                folder = run.with_name(f"{run.name}_meshes")
                space = None if in_own_space else Matrix()
                files = write_meshes(items, depsgraph, space, folder)
                leader = context.object if context.object in items else items[0]
                place = rigid_part(leader.evaluated_get(depsgraph).matrix_world)
                matrix = place if in_own_space else Matrix()
            job = messages.FitShape(
                job_id=session.new_job_id(),
                run=str(run),
                meshes=tuple(map(str, files)),
                device=device_of(own["device"]),
                settings=tuple(own["settings"].split()),
                **options,
            )
            target = session.Target(scene=scene.session_uid)
            then = partial(_fitted, matrix.freeze(), own["space"])
            do(self, job, "Fit shape", target, then)
            if bpy.app.background:
                made = shape_results.shape_of_run(scene, run)
                assert made is not None  # the job is done, and its result was brought in
                self._finish(context, made)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return context.window_manager.invoke_props_dialog(self)

    def _finish(self, context: bpy.types.Context, made: bpy.types.Object) -> None:
        """Waits for the first mesh, as nothing else brings it in without a window."""
        select_only(context, made)
        renew(self, made)


class NEURALFIELDS_OT_update_shape(OnShape, bpy.types.Operator):
    """Renew the mesh of a shape as its properties, or the ellipsoids below it, say"""

    bl_idname = "neural_fields.update_shape"
    bl_label = "Update Shape"
    bl_options = {"REGISTER"}

    resolution: IntProperty(
        name="Resolution",
        description="Grid cells along the longest side of the bounds; 0 takes the shape's own",
        min=0,
        soft_max=512,
        options=FORGET,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        shape = shape_of(context)
        assert shape is not None  # by poll
        try:
            renew(self, shape, self.resolution)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}


class NEURALFIELDS_OT_fit_latent(OnShape, FitLatentProperties, bpy.types.Operator):
    """Find the selected mesh, which may be a part, among the shapes that lie in the family of the
    active shape
    """

    bl_idname = "neural_fields.fit_latent"
    bl_label = "Fit Latent to Selected Mesh"
    bl_options = {"REGISTER"}

    shape_name: StringProperty(
        name="Name",
        description="What to call the shape in the family; empty for the mesh's name",
        options=FORGET,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene, shape = scene_of(context), shape_of(context)
        assert shape is not None  # by poll
        settings = shape.neural_field.shape
        options = choose(self, settings.fit_latent, "partial", "steps", "seed")
        own = choose(self, settings.fit_latent, "space", "use_viewpoint", "device")
        run = Path(absolute(settings.run))
        try:
            with reporting(self):
                mesh = self._mesh(context)
                depsgraph = context.evaluated_depsgraph_get()
                world = mesh.evaluated_get(depsgraph).matrix_world
                if own["space"] == "OBJECT":
                    space = rigid_part(world)
                else:
                    space = shape.evaluated_get(depsgraph).matrix_world
                folder = run / "outputs" / "shapes"
                (file,) = write_meshes([mesh], depsgraph, space, folder)
                eye = self._viewpoint(scene, space) if own["use_viewpoint"] else ()
            job = messages.FitLatent(
                job_id=session.new_job_id(),
                run=str(run),
                mesh=str(file),
                name=self.shape_name or self._unlearned(shape, mesh.name),
                viewpoint=eye,
                device=device_of(own["device"]),
                **options,
            )
            target = session.Target(scene=scene.session_uid, field=shape.session_uid)
            record = do(self, job, "Fit latent", target)
            if bpy.app.background:
                renew(self, shape)
        except RefusedError:
            return {"CANCELLED"}
        if record.note:
            self.report({"INFO"}, record.note)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return context.window_manager.invoke_props_dialog(self)

    def _mesh(self, context: bpy.types.Context) -> bpy.types.Object:
        chosen = [item for item in selected_meshes(context) if not parts_of_results(item)]
        if len(chosen) != 1:
            raise JobError(
                f"{len(chosen)} meshes are selected to be found in the family, not one.",
                "Select the mesh, and the shape last.",
            )
        return chosen[0]

    def _viewpoint(self, scene: bpy.types.Scene, space: Matrix) -> tuple[float, ...]:
        if scene.camera is None:
            raise JobError("The scene has no camera.", "Add one where the mesh was seen from.")
        return (space.inverted() @ scene.camera.matrix_world).to_translation()[:]

    def _unlearned(self, shape: bpy.types.Object, name: str) -> str:
        """A mesh that was learned under its name is found under another one."""
        shapes = shape.neural_field.shape.shapes
        clean = bpy.path.clean_name(name)
        return (
            f"{clean} found" if clean in {one.name for one in shapes if not one.is_found} else clean
        )


class NEURALFIELDS_OT_show_elements(OnShape, bpy.types.Operator):
    """Show the Gaussians that a shape was fitted as, as ellipsoids. Move, turn and scale them, and
    update the shape
    """

    bl_idname = "neural_fields.show_elements"
    bl_label = "Elements to Empties"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        shape = shape_of(context)
        assert shape is not None  # by poll
        run = Path(absolute(shape.neural_field.shape.run))
        try:
            with reporting(self):
                if shape.neural_field.shape.method != "structured_implicit":
                    raise JobError(
                        f"{shape.name} has no elements that could be shown.",
                        "Fit the mesh as Gaussians, by the method structured_implicit.",
                    )
                made = put_elements(shape, read_elements(run / "outputs" / "elements.json"))
        except RefusedError:
            return {"CANCELLED"}
        self.report({"INFO"}, f"{shape.name} has {len(made)} elements")
        return {"FINISHED"}


def renew(operator: bpy.types.Operator, shape: bpy.types.Object, resolution: int = 0) -> None:
    """Makes the mesh of a shape anew; waits for it where there is no window.

    Raises:
        RefusedError: where that fails.
    """
    uid = shape.session_uid
    session.drop(shape_updates.coarse_key(uid))
    session.drop(shape_updates.fine_key(uid))
    with reporting(operator):
        job = shape_updates.mesh_job(shape, resolution or shape.neural_field.shape.resolution)
    key = shape_updates.fine_key(uid)
    do(operator, job, "Mesh", session.Target(field=uid), key=key)


def _fitted(matrix: Matrix, space: str, record: session.JobRecord) -> None:
    """Brings in a shape that was fitted, and with a window asks for its mesh."""
    scene = by_session_uid(bpy.data.scenes, record.target.scene)
    if scene is None or not isinstance(record.answer, messages.ShapesFitted):
        return
    shape = shape_results.put_shape(scene, Path(record.answer.run), matrix, space)
    if not bpy.app.background:
        shape_updates.request(shape)


CLASSES = (
    NEURALFIELDS_OT_fit_shape,
    NEURALFIELDS_OT_update_shape,
    NEURALFIELDS_OT_fit_latent,
    NEURALFIELDS_OT_show_elements,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
