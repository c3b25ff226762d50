# SPDX-License-Identifier: GPL-3.0-or-later
"""The animation of a shape as a sequence of meshes that plays without the add-on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import session, shape_results, shape_updates
from ..compat import by_session_uid
from ..scene.elements import element_empties
from ..scene.mesh_sequences import put_mesh_sequence
from ..shape_settings import BakeShapeProperties
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, choose, frames_of, reporting, scene_of
from .shape_objects import OnShape, shape_of


class NEURALFIELDS_OT_bake_shape(OnShape, BakeShapeProperties, bpy.types.Operator):
    """Make a mesh of the shape at each frame as its animated properties say, and play them as one
    object
    """

    bl_idname = "neural_fields.bake_shape"
    bl_label = "Bake Shape"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        shape, scene = shape_of(context), scene_of(context)
        assert shape is not None  # by poll
        stored = shape.neural_field.shape.bake
        try:
            with reporting(self):
                frames = frames_of(self, stored, scene)
                folder = choose(self, stored, "output")["output"]
                baking = _Baking(shape, scene, frames, Path(absolute(folder)) if folder else None)
                records = baking.submit()
            if bpy.app.background:
                self._wait(records)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return self.execute(context)

    def _wait(self, records: list[session.JobRecord]) -> None:
        """Until all are done; where one fails the others are not needed any more."""
        for record in records:
            session.wait(record.job.job_id)
            for warning in record.warnings:
                self.report({"WARNING"}, warning)
            if record.problem:
                self.report({"ERROR"}, record.problem)
                for other in records:
                    session.cancel(other.job.job_id)
                for other in records:
                    session.wait(other.job.job_id, show_progress=False)
                raise RefusedError


class _Baking:
    """The jobs of one bake; the last that is done brings the sequence in."""

    def __init__(
        self, shape: bpy.types.Object, scene: bpy.types.Scene, frames: range, folder: Path | None
    ) -> None:
        self.uid, self.scene_uid = shape.session_uid, scene.session_uid
        if element_empties(shape):
            raise JobError(
                f"{shape.name} shows its elements, whose motion is not baked.",
                "Delete its ellipsoids to bake the shape that was learned.",
            )
        job = shape_updates.mesh_job(shape, shape.neural_field.shape.resolution)
        self.folder = folder or Path(job.run) / "outputs" / "shape_sequence"
        self.jobs: list[messages.ExtractMesh] = []
        self.files: dict[int, Path] = {}
        made: dict[tuple[Any, ...], Path] = {}
        for frame, asked in asked_along(scene, shape, frames).items():
            key = tuple(asked.values())
            if key not in made:
                # Where nothing changes one mesh serves several frames.
                made[key] = self.folder / f"mesh_{frame:04d}.ply"
                name = session.new_job_id()
                self.jobs.append(replace(job, job_id=name, output=str(made[key]), **asked))
            self.files[frame] = made[key]
        self.waiting = {one.job_id for one in self.jobs}

    def submit(self) -> list[session.JobRecord]:
        """Hands all to the worker, which works on one after the other."""
        target = session.Target(scene=self.scene_uid)
        return [
            session.submit(job, f"Bake shape, {number} of {len(self.jobs)}", target, self._done)
            for number, job in enumerate(self.jobs, start=1)
        ]

    def _done(self, record: session.JobRecord) -> None:
        self.waiting.discard(record.job.job_id)
        shape = by_session_uid(bpy.data.objects, self.uid)
        scene = by_session_uid(bpy.data.scenes, self.scene_uid)
        if self.waiting or shape is None or scene is None:
            return
        settings, fps = shape.neural_field, scene.render.fps / scene.render.fps_base
        frames = list(self.files)
        files = [self.files[frame] for frame in frames]
        shown = put_mesh_sequence(shape, settings.sequence_object, files, frames, fps)
        settings.sequence_object = shown
        shown["neural_field_run"] = settings.shape.run
        shape_results.show_only(shape, shown)


def asked_along(
    scene: bpy.types.Scene, shape: bpy.types.Object, frames: range
) -> dict[int, dict[str, Any]]:
    """What a shape's properties say at each frame, keys and drivers included."""
    name, current, subframe = shape.name, scene.frame_current, scene.frame_subframe
    shape.update_tag()
    asked = {}
    try:
        for frame in frames:
            scene.frame_set(frame)
            evaluated = bpy.context.evaluated_depsgraph_get().id_eval_get(scene.objects[name])
            asked[frame] = shape_updates.asked(evaluated.neural_field.shape)
    finally:
        scene.frame_set(current, subframe=subframe)
    return asked


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_bake_shape)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_bake_shape)
