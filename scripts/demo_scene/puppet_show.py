# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the moving demo together: a dancer who bends and twists, a bouncing ball, a swing."""

from collections.abc import Callable, Sequence
from math import atan2, cos, floor, pi, radians, sin

import bpy
from mathutils import Matrix, Vector

from . import materials, shapes
from .still_life import lights, sky

COLLECTION = "Puppet Show"

CHERRY, CREAM, TEAL = (0.60, 0.035, 0.045), (0.84, 0.74, 0.56), (0.02, 0.27, 0.30)
GOLD, SKIN, INK = (0.85, 0.47, 0.04), (0.78, 0.42, 0.26), (0.015, 0.015, 0.03)
BLUE, GREEN, PLUM = (0.03, 0.13, 0.50), (0.10, 0.42, 0.09), (0.24, 0.04, 0.26)

Painter = Callable[[Vector], int]
"""Which of a part's colours a face has, by its middle."""


def build(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Fills `scene` and its frame range with the show; returns what has a surface."""
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    dancer_, ball_, swing_ = dancer(), ball(), swing()
    made = [stage(), dancer_, ball_, gallows(), swing_]
    for item in made:
        collection.objects.link(item)
    for light in lights():
        scene.collection.objects.link(light)
    scene.world = sky()
    scene.view_settings.view_transform = "Standard"
    for frame in range(scene.frame_start, scene.frame_end + 1):
        share = (frame - scene.frame_start) / (scene.frame_end - scene.frame_start)
        pose_dancer(dancer_, share, frame)
        pose_ball(ball_, share, frame)
        swing_.rotation_euler.y = 0.45 * cos(2 * pi * share)
        swing_.keyframe_insert("rotation_euler", index=1, frame=frame)
    return made


def stage() -> bpy.types.Object:
    outline = [(0.86, -0.08), (0.90, -0.05), (0.90, -0.02), (0.88, 0.0)]
    item = shapes.lathe("Stage", [(0.001, -0.08), *outline, (0.001, 0.0)], 128)
    item.data.materials.append(materials.wood())
    return item


def dancer() -> bpy.types.Object:
    """A puppet in harlequin dress: one mesh, so that arms and hat follow the body's bend."""
    skirt = [(0.215, 0.004), (0.225, 0.04), (0.17, 0.22), (0.105, 0.36)]
    bodice = [(0.088, 0.42), (0.115, 0.56), (0.10, 0.64), (0.045, 0.69), (0.04, 0.72)]
    body = shapes.lathe(
        "Body",
        [(0.001, 0.004), *shapes.smooth_profile([*skirt, *bodice]), (0.001, 0.72)],
    )
    head = moved(shapes.ball("Head", 0.125), (0.0, 0.0, 0.82))
    hat = shapes.lathe(
        "Hat",
        [(0.001, 0.90), (0.16, 0.90), (0.16, 0.915), (0.10, 0.93), (0.02, 1.12), (0.001, 1.13)],
    )
    parts: list[tuple[bpy.types.Object, Sequence[materials.Color], Painter]] = [
        (body, (CHERRY, CREAM, GOLD), harlequin),
        (head, (SKIN, PLUM), lambda at: int(at.y > 0.055 or at.z > 0.88)),
        (hat, (TEAL, GOLD), lambda at: int(at.z < 0.935)),
        (moved(shapes.ball("Bobble", 0.038), (0.0, 0.0, 1.15)), (GOLD,), plain),
    ]
    for side in (-1, 1):
        eye = moved(shapes.ball("Eye", 0.024), (0.048 * side, -0.112, 0.84))
        cheek = moved(shapes.ball("Cheek", 0.022), (0.066 * side, -0.098, 0.785))
        hand = moved(shapes.ball("Hand", 0.05), (0.40 * side, -0.02, 0.80))
        arm = shapes.lathe("Arm", shapes.smooth_profile([(0.05, 0.0), (0.042, 0.2), (0.036, 0.37)]))
        up = Vector((0.31 * side, -0.02, 0.20)).to_track_quat("Z", "Y").to_matrix().to_4x4()
        arm.data.transform(Matrix.Translation((0.08 * side, 0.0, 0.595)) @ up)
        parts += [
            (eye, (INK,), plain),
            (cheek, (CHERRY,), plain),
            (hand, (SKIN,), plain),
            (arm, (TEAL, CREAM), lambda at: int(abs(at.x) * 14) % 2),
        ]
    item = joined("Dancer", parts)
    item.location, item.rotation_euler.z = (-0.2, -0.1, 0.0), radians(45)
    for kind, axis in (("TWIST", "Z"), ("BEND", "Y")):
        deform = item.modifiers.new(kind.title(), "SIMPLE_DEFORM")
        deform.deform_method, deform.deform_axis = kind, axis
    return item


def pose_dancer(item: bpy.types.Object, share: float, frame: int) -> None:
    """Twists to and fro while bending once to each side."""
    for name, angle in (
        ("Twist", radians(62) * cos(2 * pi * share)),
        ("Bend", radians(48) * sin(2 * pi * share)),
    ):
        item.modifiers[name].angle = angle
        item.modifiers[name].keyframe_insert("angle", frame=frame)


def harlequin(at: Vector) -> int:
    """Lozenges all around, and a golden belt and hem."""
    if 0.385 < at.z < 0.43 or at.z < 0.055:
        return 2
    turn, up = sector(at.x, at.y, 12), at.z / 0.115
    return (floor(turn + up) + floor(turn - up)) % 2


def sector(x: float, y: float, count: int) -> float:
    """Where around an axis a point is, from 0 to `count`."""
    return (atan2(y, x) / (2 * pi) % 1) * count


def ball() -> bpy.types.Object:
    colors = (GOLD, BLUE, CREAM, GREEN, CREAM, CHERRY)
    parts = [(shapes.ball("Ball", 0.15), colors, lambda at: int(sector(at.x, at.y, 6)))]
    item = joined("Ball", parts)
    item.data.transform(Matrix.Rotation(0.5, 4, "Y"))
    return item


def pose_ball(item: bpy.types.Object, share: float, frame: int) -> None:
    """Two bounces; it is flattened where it meets the stage."""
    phase = (2 * share) % 1
    height = 4 * phase * (1 - phase)
    flat = 1 - 0.28 * max(0.0, 1 - height / 0.25)
    item.scale = (1 / flat**0.5, 1 / flat**0.5, flat)
    item.location = (-0.05, -0.62, 0.155 * flat + 0.42 * height)
    item.rotation_euler.z = pi * share
    for path in ("scale", "location", "rotation_euler"):
        item.keyframe_insert(path, frame=frame)


def gallows() -> bpy.types.Object:
    """What the swing hangs from."""
    post = shapes.lathe(
        "Post", [(0.001, 0.0), (0.06, 0.0), (0.035, 0.05), (0.03, 1.1), (0.001, 1.1)]
    )
    beam = shapes.lathe("Beam", [(0.001, 0.0), (0.028, 0.0), (0.028, 0.5), (0.001, 0.5)])
    beam.data.transform(Matrix.Rotation(pi / 2, 4, "X"))
    parts = [
        (moved(post, (0.38, 0.66, 0.0)), (PLUM,), plain),
        (moved(beam, (0.38, 0.70, 1.07)), (PLUM,), plain),
        (moved(shapes.ball("Knob", 0.055), (0.38, 0.66, 1.12)), (GOLD,), plain),
    ]
    return joined("Gallows", parts)


def swing() -> bpy.types.Object:
    """A ring on a rod; its origin is where it hangs."""
    rod = shapes.lathe("Rod", [(0.001, -0.44), (0.016, -0.44), (0.016, 0.03), (0.001, 0.03)])
    ring = shapes.torus("Ring", 0.145, 0.05)
    ring.data.transform(Matrix.Translation((0.0, 0.0, -0.58)) @ Matrix.Rotation(pi / 2, 4, "X"))
    item = joined(
        "Swing",
        [
            (rod, (GOLD,), plain),
            (ring, (TEAL, CREAM), lambda at: int(sector(at.x, at.z + 0.58, 8))),
        ],
    )
    item.location = (0.38, 0.28, 1.07)
    return item


def plain(_at: Vector) -> int:
    """All of a part in its first colour."""
    return 0


def moved(item: bpy.types.Object, by: tuple[float, float, float]) -> bpy.types.Object:
    """Moves the vertices, so that parts can be joined."""
    item.data.transform(Matrix.Translation(by))
    return item


def joined(
    name: str, parts: Sequence[tuple[bpy.types.Object, Sequence[materials.Color], Painter]]
) -> bpy.types.Object:
    """One object of several, whose faces are painted by material: paint goes along where a modifier
    bends the mesh, while a texture in space would stay behind.
    """
    mesh = bpy.data.meshes.new(name)
    slots: dict[materials.Color, int] = {}
    vertices: list[Vector] = []
    faces: list[tuple[int, ...]] = []
    paints: list[int] = []
    for item, colors, painter in parts:
        first = len(vertices)
        vertices += [vertex.co.copy() for vertex in item.data.vertices]
        for face in item.data.polygons:
            faces.append(tuple(first + corner for corner in face.vertices))
            color = colors[painter(face.center) % len(colors)]
            paints.append(slots.setdefault(color, len(slots)))
        bpy.data.meshes.remove(item.data)
    mesh.from_pydata(vertices, [], faces)
    for number, color in enumerate(slots):
        mesh.materials.append(materials.paint(f"{name} Paint {number + 1}", color))
    mesh.polygons.foreach_set("material_index", paints)
    return shapes.finished(name, mesh)
