# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs a zip in this process's Blender and works with it; prints what it found as JSON."""

import importlib
import json
import sys
from pathlib import Path

import bpy

PACKAGE = "bl_ext.user_default.neural_fields"
HEAVY = {"torch", "numba", "scipy", "trimesh", "PIL", "imageio", "safetensors"}
TINY = "width=32 depth=3 coarse_samples=24 hierarchical=false rays=256 bfloat16=false"


def install(archive: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=archive, repo="user_default", enable_on_install=True
    )
    if PACKAGE not in bpy.context.preferences.addons:
        raise SystemExit("the extension was not enabled")


def make_scene() -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 2
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = 24
    bpy.ops.mesh.primitive_cube_add(size=1.5)
    world = bpy.data.worlds.new("White")
    world.color = (1.0, 1.0, 1.0)
    scene.world = world


def follow_a_camera() -> None:
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0.0, -6.0, 0.0), (1.5708, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_start, scene.frame_end = 2, 3


def work(project: Path) -> None:
    operators = bpy.ops.neural_fields
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    make_scene()
    operators.add_camera_rig(count=10)
    operators.render_capture(folder="//capture")
    operators.train(run="//run", method="nerf", preset="draft", steps=40, settings=TINY)
    operators.extract_mesh(resolution=16, keep_components=0.0)
    follow_a_camera()
    operators.render_views()
    bpy.ops.wm.save_mainfile()


def main(archive: str, project: Path) -> None:
    path_before = list(sys.path)
    install(archive)
    work(project)
    # Opening a file leaves the extension enabled, as it does for a user.
    bpy.ops.wm.open_mainfile(filepath=str(project / "scene.blend"))
    field = bpy.data.objects["Neural Field"]
    mesh = field.neural_field.mesh_object.data
    background = bpy.context.scene.camera.data.background_images[0]
    user = background.image_user
    run = Path(bpy.path.abspath(field.neural_field.run))
    found = {
        "package": PACKAGE if PACKAGE in sys.modules else "",
        "heavy_modules": sorted(HEAVY & set(sys.modules)),
        "sys_path_added": [entry for entry in sys.path if entry not in path_before],
        "backend": str(importlib.import_module(f"{PACKAGE}.addon.worker.protocol").BACKEND),
        "run": field.neural_field.run,
        "run_state": json.loads((run / "run.json").read_text(encoding="utf-8"))["state"],
        "num_vertices": len(mesh.vertices),
        "has_colors": "Col" in mesh.color_attributes,
        "background": background.image.filepath.replace("\\", "/"),
        "background_frames": [user.frame_start, user.frame_start + user.frame_duration - 1],
    }
    bpy.ops.preferences.addon_disable(module=PACKAGE)
    found["operators_after_disabling"] = dir(bpy.ops.neural_fields)
    (project / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
