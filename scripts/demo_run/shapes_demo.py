# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo of shapes: a family is learned, morphed, used to complete half a mesh, and drilled."""

import json
from dataclasses import dataclass, field
from math import pi
from typing import Any

import bpy
from demo_scene import vases

from . import report, scene_demo
from .blender import Addon, call
from .console import Terminal
from .folders import DemoError, Folders
from .quality import ShapeQuality
from .sheet import clay_picture

ASIDE = 1.3
"""How far apart the results stand in the file."""


@dataclass
class ShapesDemo:
    """The stages, in the order in which they run."""

    folders: Folders
    terminal: Terminal
    addon: Addon
    quality: ShapeQuality
    device: str
    rows: list[list[report.Panel]] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)

    @property
    def scene(self) -> bpy.types.Scene:
        return bpy.context.scene

    def make(self) -> report.Report:
        """Makes everything but the report's picture, and saves the file."""
        with self.terminal.stage("Build the meshes"):
            self.scene.frame_start, self.scene.frame_end = 1, self.quality.frames
            family = vases.build(self.scene, self.quality.meshes)
            bpy.context.view_layer.update()
            shown = (family[0], family[len(family) // 2], family[-1])
            self.rows.append([self.panel(item, f"Learned · {item.name}") for item in shown])
        shape = self.fit(family)
        self.complete(shape)
        settings = shape.neural_field.shape
        settings.shape, settings.blend_to = name_of(family[0]), name_of(family[-1])
        solid_row = self.drill(shape)
        self.morph(shape)
        self.rows.append(solid_row)
        with self.terminal.stage("Save"):
            scene_demo.put_away_originals(self.scene.view_layers[0], vases.COLLECTION)
            self.scene.frame_set(self.scene.frame_start)
            bpy.ops.wm.save_as_mainfile(filepath=str(self.folders.blend))
        return self.report_of()

    def fit(self, family: list[bpy.types.Object]) -> bpy.types.Object:
        select(*family)
        title = f"Learn {len(family)} meshes"
        with self.terminal.stage(title) as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.fit_shape,
                run=str(self.folders.run),
                preset=self.quality.preset,
                seconds=self.quality.seconds,
                steps=self.quality.steps,
                device=self.device,
            )
        shape = bpy.context.object
        if shape is None or not shape.neural_field.shape.run:
            raise DemoError("fit_shape left no shape in the scene.")
        shape.location, shape.rotation_euler = (0.0, -2 * ASIDE, 0.0), (0.0, 0.0, 0.0)
        shape.neural_field.shape.resolution = self.quality.resolution
        return shape

    def complete(self, shape: bpy.types.Object) -> None:
        """Half a vase is found in the family; the whole one stays as a mesh of its own."""
        whole, half = vases.half_vase(self.scene)
        bpy.context.view_layer.update()
        select(half, shape)
        with self.terminal.stage("Complete half a mesh") as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.fit_latent,
                partial=True,
                shape_name="completed",
                device=self.device,
            )
        error = self.last_answer(self.addon.messages.LatentFitted).error
        self.results.append(("Completed half, distance", f"{error:.4f}"))
        made = shape.neural_field.mesh_object
        kept = bpy.data.objects.new("Completed Vase", made.data.copy())
        kept.location = half.location
        kept.location.x += ASIDE
        self.scene.collection.objects.link(kept)
        bpy.context.view_layer.update()
        self.rows.append(
            [
                self.panel(half, "Half of an unseen mesh"),
                self.panel(kept, "Completed in the family", f"distance {error:.4f}"),
                self.panel(whole, "What it was cut from"),
            ]
        )
        whole.hide_render = whole.hide_viewport = True

    def drill(self, shape: bpy.types.Object) -> list[report.Panel]:
        """A hole goes through what lies between two shapes, and the result is put aside."""
        settings = shape.neural_field.shape
        settings.blend = 0.5
        place = shape.location.copy()
        with self.terminal.stage("Drill a hole") as stage, self.addon.followed_by(stage):
            call(bpy.ops.neural_fields.add_csg_primitive, kind="cylinder", radius=0.16)
            drill = bpy.context.object
            drill.neural_field.primitive.height = 2.0
            drill.rotation_euler.x = pi / 2
            drill.location = (place.x, place.y, place.z + 0.5)
            select(drill, shape)
            call(
                bpy.ops.neural_fields.mesh_csg,
                operation="difference",
                smoothness=0.04,
                resolution=self.quality.resolution,
                device=self.device,
            )
        solid = bpy.context.object
        mesh = solid.neural_field.mesh_object
        faces = len(mesh.data.polygons)
        self.results.append(("Drilled mesh", f"{faces:,} faces"))
        row = [
            self.panel(mesh, "Drilled in the field", f"{faces:,} faces", turn)
            for turn in (-90.0, -50.0, 0.0)
        ]
        solid.location.x += 2 * ASIDE
        drill.hide_viewport = True
        return row

    def morph(self, shape: bpy.types.Object) -> None:
        """From the first mesh to the last one, over the frame range."""
        scene, settings = self.scene, shape.neural_field.shape
        for frame, blend in ((scene.frame_start, 0.0), (scene.frame_end, 1.0)):
            settings.blend = blend
            settings.keyframe_insert("blend", frame=frame)
        select(shape)
        title = f"Bake {self.quality.frames} frames"
        with self.terminal.stage(title) as stage, self.addon.followed_by(stage):
            call(bpy.ops.neural_fields.bake_shape)
        sequence = shape.neural_field.sequence_object
        if sequence is None:
            raise DemoError("bake_shape left no sequence in the scene.")
        frames = (scene.frame_start, (scene.frame_start + scene.frame_end) // 2, scene.frame_end)
        row = []
        for frame in frames:
            scene.frame_set(frame)
            row.append(self.panel(sequence, f"Morph · frame {frame}"))
        self.rows.insert(1, row)

    def panel(
        self, item: bpy.types.Object, caption: str, detail: str = "", turn: float = -70.0
    ) -> report.Panel:
        """A picture in clay of an object as it is now, modifiers and all."""
        depsgraph = bpy.context.evaluated_depsgraph_get()
        data = bpy.data.meshes.new_from_object(item.evaluated_get(depsgraph), depsgraph=depsgraph)
        stem = f"{bpy.path.clean_name(item.name)}_{self.scene.frame_current:04d}_{turn:.0f}"
        path = self.folders.stills / f"{stem}.png"
        try:
            picture = clay_picture(
                data, path, self.quality.sheet_px, self.quality.sheet_samples, turn
            )
        finally:
            bpy.data.meshes.remove(data)
        return report.Panel(picture, caption, detail)

    def last_answer(self, kind: type) -> Any:
        """The final event of the last job that has one of this kind."""
        answers = (record.answer for record in reversed(self.addon.session.jobs()))
        return next(answer for answer in answers if isinstance(answer, kind))

    def report_of(self) -> report.Report:
        trained = json.loads((self.folders.run / "run.json").read_text(encoding="utf-8"))
        subtitle = (
            f"{trained['method']} · {trained['preset']} preset · {trained['device']} · "
            f"{trained['seconds']:.0f} s of training, {trained['steps']:,} steps"
        )
        seconds = [(name, f"{value:.1f} s") for name, value in self.terminal.seconds.items()]
        total = sum(self.terminal.seconds.values())
        figures = [*self.results, *seconds, ("All together", f"{total:.1f} s")]
        return report.Report(
            "A family of vases, learned from meshes", subtitle, self.rows, None, figures
        )


def name_of(item: bpy.types.Object) -> str:
    """What a mesh is called in its run."""
    return bpy.path.clean_name(item.name)


def select(*items: bpy.types.Object) -> None:
    """Selects these; the last one is active."""
    for item in bpy.context.view_layer.objects:
        item.select_set(item in items)
    bpy.context.view_layer.objects.active = items[-1]
