# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's way from a scene or photos to demo.blend, report.png and a table of figures."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import report
from .blender import Addon, call, install
from .console import Terminal
from .folders import DemoError, Folders
from .quality import DRAFT, FULL, MOVING, MOVING_DRAFT, SHAPES, SHAPES_DRAFT, Quality


@dataclass
class Results:
    """What the stages found out, for the table and the report."""

    title: str
    trained: dict[str, Any] = field(default_factory=dict)
    psnr: float = 0.0
    ssim: float = 0.0
    num_held_out: int = 0
    mesh_figures: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[report.Panel]] = field(default_factory=list)


def run(
    output: Path,
    photos: Path | None,
    dynamic: bool,
    shapes: bool,
    device: str,
    draft: bool,
    readme_picture: Path | None,
) -> int:
    """Returns the exit status: 0 done, 1 where a stage failed, 130 where the user stopped it."""
    try:
        folders = Folders.fresh(output, "dynamic" if dynamic else "shapes" if shapes else "demo")
    except DemoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    terminal = Terminal(folders.log)
    addon: Addon | None = None
    try:
        with terminal.stage("Install the extension"):
            addon = install(folders)
        full, quick = (MOVING, MOVING_DRAFT) if dynamic else (FULL, DRAFT)
        demo = Demo(folders, terminal, addon, quick if draft else full, device)
        if dynamic:
            demo.from_moving_scene()
        elif shapes:
            demo.from_shapes(draft)
        elif photos is None:
            demo.from_scene()
        else:
            demo.from_photos(photos)
        if readme_picture is not None:
            report.write_small(folders.report, readme_picture)
            terminal.say(f"Wrote {readme_picture}")
    except DemoError as error:
        terminal.say(f"\nThe demo stopped: {error}\nWhat Blender printed is in {folders.log}")
        return 1
    except KeyboardInterrupt:
        terminal.say("\nStopped. The next demo starts anew.")
        return 130
    finally:
        if addon is not None:
            addon.close()
        terminal.close()
    return 0


class Demo:
    """The stages, in the order in which they run."""

    def __init__(
        self, folders: Folders, terminal: Terminal, addon: Addon, quality: Quality, device: str
    ) -> None:
        import bpy

        self.folders, self.terminal, self.addon = folders, terminal, addon
        self.quality, self.device = quality, device
        self.scene = bpy.context.scene
        folders.stills.mkdir()
        bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1
        # Saved first: results are linked by paths relative to the file.
        bpy.ops.wm.save_as_mainfile(filepath=str(folders.blend))

    def from_scene(self) -> None:
        from . import geometry, scene_demo

        results = Results("A still life, learned from its pictures")
        quality, scene = self.quality, self.scene
        frame = (scene.frame_start + quality.frames) // 2
        with self.terminal.stage("Build the scene"):
            real_surface = scene_demo.prepare(scene, quality)
            scene_demo.render_still(scene, self.folders, quality, frame)
        with self.terminal.stage(f"Render {quality.cameras} pictures") as stage:
            eyes = scene_demo.capture(scene, self.folders, quality, stage)
        # The mesh is half of this demo, and worth more here than the last of the views' quality.
        self.learn(self.folders.capture, results, image_width=0, surfaces=True)
        mesh = self.extract_mesh(results)
        self.render_views()
        with self.terminal.stage("Compare with the scene"):
            found = geometry.compare(real_surface, geometry.surface_of([mesh]), eyes)
            within = f"within {100 * geometry.THRESHOLD:g} % of the diagonal"
            results.mesh_figures += [
                ("Chamfer distance", f"{found.chamfer_percent:.2f} % of the diagonal"),
                ("F-score", f"{100 * found.f_score:.1f} % {within}"),
            ]
        truth = Image.open(self.folders.stills / "truth.png").convert("RGBA")
        seen = Image.open(self.folders.views / f"view_{frame:04d}.png").convert("RGBA")
        results.rows = [compared(truth, seen, "Ground truth · Cycles", "Novel view · the field")]
        scene_demo.put_away_originals(self.scene.view_layers[0])
        self.finish(results, mesh)

    def from_photos(self, photos: Path) -> None:
        from . import photos_demo

        results = Results(f"{photos.resolve().name}, learned from photos")
        with self.terminal.stage("Import the cameras"):
            photos_demo.prepare(self.scene, photos, self.quality)
        self.learn(photos.absolute(), results, image_width=self.quality.photo_width, surfaces=True)
        mesh = self.extract_mesh(results)
        self.render_views()
        # The measuring wrote, for each held-out photo, the field's view, the photo and the error.
        pictures = sorted((self.folders.run / "outputs" / "evaluation").glob("*.png"))
        with Image.open(pictures[len(pictures) // 2]) as picture:
            seen, truth = photos_demo.first_two_of_three(picture.convert("RGBA"))
        results.rows = [compared(truth, seen, "Held-out photo", "Novel view · the field")]
        self.finish(results, mesh)

    def from_moving_scene(self) -> None:
        import bpy
        from demo_scene import puppet_show

        from . import motion_demo, scene_demo

        results = Results("A puppet show, learned from its pictures")
        quality, scene, stills = self.quality, self.scene, self.folders.stills
        with self.terminal.stage("Build the scene"):
            motion_demo.prepare(scene, quality)
            frames = motion_demo.moments(scene)
            truths = [
                motion_demo.picture(
                    scene, stills / f"truth_{frame:04d}.png", frame, quality, quality.still_samples
                )
                for frame in frames
            ]
        with self.terminal.stage(f"Render {quality.frames * quality.cameras} pictures") as stage:
            motion_demo.capture(scene, self.folders, quality, stage)
        self.learn(self.folders.capture, results, image_width=0)
        self.render_views()
        sequence = self.extract_mesh_sequence(results)
        scene_demo.put_away_originals(scene.view_layers[0], puppet_show.COLLECTION)
        with self.terminal.stage("Render the meshes and save"):
            for frame, truth in zip(frames, truths, strict=True):
                seen = Image.open(self.folders.views / f"view_{frame:04d}.png").convert("RGBA")
                mesh = motion_demo.picture(
                    scene, stills / f"mesh_{frame:04d}.png", frame, quality, quality.sheet_samples
                )
                time = (frame - scene.frame_start) / (scene.frame_end - scene.frame_start)
                results.rows.append(
                    moment_row(truth, seen, mesh, f"Frame {frame}, time {time:.2f}")
                )
            scene.frame_set(scene.frame_start)
            bpy.context.view_layer.objects.active = sequence
            bpy.ops.wm.save_as_mainfile(filepath=str(self.folders.blend))
        self.tell(results)

    def from_shapes(self, draft: bool) -> None:
        from .shapes_demo import ShapesDemo

        quality = SHAPES_DRAFT if draft else SHAPES
        demo = ShapesDemo(self.folders, self.terminal, self.addon, quality, self.device)
        self.show(demo.make())

    def learn(
        self, capture: Path, results: Results, image_width: int, surfaces: bool = False
    ) -> None:
        """Trains and measures on the held-out cameras."""
        import bpy

        messages, run_folder = self.addon.messages, str(self.folders.run)
        with self.terminal.stage("Train the field") as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.train,
                capture=str(capture),
                run=run_folder,
                preset=self.quality.preset,
                seconds=self.quality.seconds,
                steps=self.quality.steps,
                image_width=image_width,
                evaluations=self.quality.evaluations,
                surfaces=surfaces,
                device=self.device,
            )
        results.trained = json.loads((self.folders.run / "run.json").read_text(encoding="utf-8"))
        with self.terminal.stage("Measure held-out views") as stage, self.addon.followed_by(stage):
            job = messages.Evaluate(
                job_id=self.addon.session.new_job_id(), run=run_folder, device=self.device
            )
            answer = self.addon.run_job(job, "Measuring")
        results.psnr, results.ssim = answer.psnr, answer.ssim
        results.num_held_out = answer.num_views

    def extract_mesh(self, results: Results) -> Any:
        """The mesh object that the add-on made."""
        import bpy

        before = set(bpy.data.objects)
        with self.terminal.stage("Extract the mesh") as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.extract_mesh,
                resolution=self.quality.mesh_resolution,
                device=self.device,
            )
        made = [item for item in set(bpy.data.objects) - before if item.type == "MESH"]
        if len(made) != 1:
            raise DemoError(f"extract_mesh left {len(made)} new meshes in the scene, not one.")
        mesh = made[0]
        size = f"{len(mesh.data.vertices):,} vertices, {len(mesh.data.polygons):,} faces"
        results.mesh_figures.append(("Mesh", size))
        return mesh

    def extract_mesh_sequence(self, results: Results) -> Any:
        """The object that plays the meshes."""
        import bpy

        title = f"Extract {self.quality.frames} meshes"
        with self.terminal.stage(title) as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.extract_mesh_sequence,
                resolution=self.quality.mesh_resolution,
                device=self.device,
            )
        field = next(item for item in bpy.data.objects if item.neural_field.run)
        sequence = field.neural_field.sequence_object
        if sequence is None:
            raise DemoError("extract_mesh_sequence left no object in the scene.")
        results.mesh_figures.append(("Vertices at frame 1", f"{len(sequence.data.vertices):,}"))
        return sequence

    def render_views(self) -> None:
        import bpy

        title = f"Render {self.quality.frames} novel views"
        with self.terminal.stage(title) as stage, self.addon.followed_by(stage):
            call(
                bpy.ops.neural_fields.render_views,
                output=str(self.folders.views),
                device=self.device,
            )

    def finish(self, results: Results, mesh: Any) -> None:
        import bpy

        from .sheet import mesh_from_three_sides

        with self.terminal.stage("Render the mesh and save"):
            pictures = mesh_from_three_sides(
                mesh, self.folders.stills, self.quality.sheet_px, self.quality.sheet_samples
            )
            results.rows.append(
                [
                    report.Panel(picture, f"Mesh · {side}", "color | shape")
                    for side, picture in pictures
                ]
            )
            self.scene.frame_set(self.scene.frame_start)
            bpy.ops.wm.save_as_mainfile(filepath=str(self.folders.blend))
        self.tell(results)

    def tell(self, results: Results) -> None:
        """Draws the report and closes with the figures."""
        self.show(self.report_of(results))

    def show(self, made: report.Report) -> None:
        """Draws a report."""
        report.draw(made, self.folders.report)
        self.terminal.table("Results", made.figures)
        for path in (self.folders.blend, self.folders.report):
            self.terminal.say(f"Wrote {path}")

    def report_of(self, results: Results) -> report.Report:
        trained = results.trained
        subtitle = (
            f"{trained['method']} · {trained['preset']} preset · {trained['device']} · "
            f"{trained['seconds']:.0f} s of training, {trained['steps']:,} steps"
        )
        lines = (self.folders.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        measured = [line for line in map(json.loads, lines) if line.get("psnr") is not None]
        curve = report.Curve(
            [line["seconds"] for line in measured], [line["psnr"] for line in measured]
        )
        return report.Report(results.title, subtitle, results.rows, curve, self.figures(results))

    def figures(self, results: Results) -> list[tuple[str, str]]:
        seconds = [(name, f"{value:.1f} s") for name, value in self.terminal.seconds.items()]
        total = sum(self.terminal.seconds.values())
        return [
            ("PSNR", f"{results.psnr:.2f} dB"),
            ("SSIM", f"{results.ssim:.4f}"),
            ("Held-out cameras", str(results.num_held_out)),
            *results.mesh_figures,
            *seconds,
            ("All together", f"{total:.1f} s"),
        ]


def compared(
    truth: Image.Image, seen: Image.Image, truth_caption: str, seen_caption: str
) -> list[report.Panel]:
    """The report's first row."""
    seen = seen.resize(truth.size, Image.Resampling.LANCZOS) if seen.size != truth.size else seen
    psnr = report.psnr_between(truth, seen)
    error = np.abs(report.on_white(truth) - report.on_white(seen)).mean()
    return [
        report.Panel(truth, truth_caption, f"{truth.width} x {truth.height}"),
        report.Panel(seen, seen_caption, f"{psnr:.1f} dB"),
        report.Panel(report.error_picture(truth, seen), "Error", f"mean {error:.3f}"),
    ]


def moment_row(
    truth: Image.Image, seen: Image.Image, mesh: Image.Image, moment: str
) -> list[report.Panel]:
    """A row of the report about motion."""
    psnr = [f"{report.psnr_between(truth, other):.1f} dB" for other in (seen, mesh)]
    return [
        report.Panel(truth, "Ground truth · Cycles", moment),
        report.Panel(seen, "Novel view · the field", psnr[0]),
        report.Panel(mesh, "Mesh of this frame", psnr[1]),
    ]
