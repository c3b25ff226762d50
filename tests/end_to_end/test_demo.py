# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's command, in its draft quality, as a user runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.demo_run.folders import MARKER, DemoError, Folders

pytestmark = pytest.mark.blender
ROOT = Path(__file__).resolve().parents[2]

LOOK_INSIDE = """
import json, sys
import bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
background = scene.camera.data.background_images[0]
(mesh,) = [item for item in scene.objects if item.visible_get() and item.type == "MESH"]
corners = [mesh.matrix_world @ vertex.co for vertex in mesh.data.vertices]
shown = []
for frame in (scene.frame_start, scene.frame_end):
    scene.frame_set(frame)
    user = background.image_user
    shown.append(frame - user.frame_start + 1 + user.frame_offset)
print("FOUND " + json.dumps({
    "size": [max(c[i] for c in corners) - min(c[i] for c in corners) for i in range(3)],
    "colors": len(mesh.data.color_attributes),
    "image": background.image.filepath,
    "source": background.image.source,
    "visible": scene.camera.data.show_background_images,
    "frames": [scene.frame_start, scene.frame_end],
    "shown": shown,
    "duration": background.image_user.frame_duration,
    "originals": sum(item.name == "Vase" for item in scene.objects),
}))
"""


LOOK_AT_MOTION = """
import json, sys
import bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
(item,) = [item for item in scene.objects if item.visible_get() and item.type == "MESH"]
counts = {}
for frame in (scene.frame_start, scene.frame_end):
    scene.frame_set(frame)
    shown = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    counts[frame] = len(shown.vertices)
(modifier,) = item.modifiers
print("FOUND " + json.dumps({
    "counts": counts,
    "modifier": modifier.type,
    "cache": modifier.cache_file.filepath,
    "views": scene.camera.data.background_images[0].image.filepath,
    "dancer": sum(item.name == "Dancer" for item in scene.objects),
}))
"""


def run(*command: str, timeout: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


@pytest.mark.slow
@pytest.mark.timeout(590)
def test_the_demo_goes_from_a_scene_to_a_mesh_and_views_in_a_blend_file(tmp_path: Path) -> None:
    output = tmp_path / "a demo of Übung"
    done = run(
        "scripts/demo.py", "--draft", "--device", "cpu", "--output", str(output), timeout=560
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {
        name: float(re.search(rf"{name}\s*│\s*([\d.]+)", done.stdout)[1])
        for name in ("PSNR", "SSIM", "Chamfer distance", "F-score", "All together")
    }
    assert figures["PSNR"] > 20
    assert 0.6 < figures["SSIM"] <= 1
    assert figures["Chamfer distance"] < 2.5  # percent of the diagonal, after a few seconds
    assert figures["F-score"] > 20
    assert (output / "report.png").stat().st_size > 50_000

    inside = run("-c", LOOK_INSIDE, str(output / "demo.blend"), timeout=120)
    assert inside.returncode == 0, inside.stderr
    found = json.loads(inside.stdout.split("FOUND ")[1].splitlines()[0])
    assert found["colors"] == 1
    assert found["size"] == pytest.approx([1.8, 1.8, 0.8], abs=0.15)  # the table and the vase
    assert found["image"] == "//views/view_0001.png"
    assert found["source"] == "SEQUENCE"
    assert found["visible"]
    assert found["shown"] == found["frames"]
    assert found["duration"] == found["frames"][1] - found["frames"][0] + 1
    assert found["originals"] == 1
    for frame in range(found["frames"][0], found["frames"][1] + 1):
        assert (output / "views" / f"view_{frame:04d}.png").is_file()


LOOK_AT_SHAPES = """
import json, sys
import bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
meshes = [item for item in scene.objects if item.visible_get() and item.type == "MESH"]
(sequence,) = [item for item in meshes if item.modifiers]
heights = []
for frame in (scene.frame_start, scene.frame_end):
    scene.frame_set(frame)
    shown = sequence.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    places = [vertex.co.z for vertex in shown.vertices]
    heights.append(max(places) - min(places))
print("FOUND " + json.dumps({
    "names": sorted(item.name for item in meshes),
    "heights": heights,
    "modifier": sequence.modifiers[0].type,
    "cache": sequence.modifiers[0].cache_file.filepath,
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(590)
def test_the_demo_of_shapes_leaves_a_morph_a_completed_mesh_and_a_drilled_one(
    tmp_path: Path,
) -> None:
    output = tmp_path / "demo"
    options = ("--shapes", "--draft", "--device", "cpu", "--output", str(output))
    done = run("scripts/demo.py", *options, timeout=560)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(re.search(r"Completed half, distance\s*│\s*([\d.]+)", done.stdout)[1]) < 0.1
    assert (output / "report.png").stat().st_size > 50_000

    inside = run("-c", LOOK_AT_SHAPES, str(output / "shapes.blend"), timeout=120)
    assert inside.returncode == 0, inside.stderr
    found = json.loads(inside.stdout.split("FOUND ")[1].splitlines()[0])
    assert found["names"] == [
        "Completed Vase", "Half a Vase", "Neural Shape Mesh Sequence", "Neural Solid Mesh",
    ]  # fmt: skip
    # From a high vase to a low one.
    assert found["heights"] == pytest.approx([1.6, 1.0], abs=0.15)
    assert found["modifier"] == "MESH_SEQUENCE_CACHE"
    assert found["cache"].startswith("//run/outputs/shape_sequence/sequence_001.usd")


@pytest.mark.slow
@pytest.mark.timeout(590)
def test_the_dynamic_demo_leaves_views_and_a_mesh_for_each_frame(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    options = ("--dynamic", "--draft", "--device", "cpu", "--output", str(output))
    done = run("scripts/demo.py", *options, timeout=560)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(re.search(r"PSNR\s*│\s*([\d.]+)", done.stdout)[1]) > 17
    assert (output / "report.png").stat().st_size > 50_000

    inside = run("-c", LOOK_AT_MOTION, str(output / "dynamic.blend"), timeout=120)
    assert inside.returncode == 0, inside.stderr
    found = json.loads(inside.stdout.split("FOUND ")[1].splitlines()[0])
    assert found["modifier"] == "MESH_SEQUENCE_CACHE"
    assert found["cache"].startswith("//run/outputs/mesh_sequence/sequence_001.usd")
    assert found["views"] == "//views/view_0001.png"
    assert found["dancer"] == 1
    for frame, count in found["counts"].items():
        mesh = output / "run" / "outputs" / "mesh_sequence" / f"mesh_{int(frame):04d}.ply"
        header = mesh.read_bytes()[:400].decode("latin-1")
        assert int(re.search(r"element vertex (\d+)", header)[1]) == count


def test_the_demo_replaces_only_its_own_folder(tmp_path: Path) -> None:
    mine = tmp_path / "pictures"
    mine.mkdir()
    (mine / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(DemoError, match="did not make"):
        Folders.fresh(mine)
    assert (mine / "holiday.jpg").exists()
    made = Folders.fresh(tmp_path / "demo")
    (made.root / "old.txt").write_text("from before", encoding="utf-8")
    again = Folders.fresh(tmp_path / "demo")
    assert [path.name for path in again.root.iterdir()] == [MARKER]


def test_a_mistaken_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    done = run("scripts/demo.py", "--device", "abacus", timeout=60)
    assert done.returncode == 2
    assert "abacus" in done.stderr
    missing = tmp_path / "no photos here"
    output = str(tmp_path / "demo")
    done = run("scripts/demo.py", "--photos", str(missing), "--output", output, timeout=120)
    assert done.returncode == 1
    assert str(missing) in done.stdout.replace("\n", "")
