# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the demo's still life together: objects on a table, and the light on them."""

from math import radians

import bpy
from mathutils import Vector

from . import materials, shapes

COLLECTION = "Still Life"


def build(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Fills `scene` with the still life and its lights; returns what has a surface."""
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    objects = [table(), vase(), ball(), donut(), *blocks(), *plant()]
    for item in objects:
        collection.objects.link(item)
    for light in lights():
        scene.collection.objects.link(light)
    scene.world = sky()
    # What a field learns is what the pictures show, so the pictures are shown without a film look.
    scene.view_settings.view_transform = "Standard"
    return objects


def table() -> bpy.types.Object:
    edge = [(0.9, -0.065), (0.9, -0.05), (0.89, -0.015), (0.87, 0.0)]
    item = shapes.lathe("Table", [(0.001, -0.08), (0.87, -0.08), *edge, (0.001, 0.0)], 128)
    item.data.materials.append(materials.wood())
    return item


def vase() -> bpy.types.Object:
    height = 0.72
    belly = [(0.115, 0.0), (0.13, 0.03), (0.21, 0.2), (0.225, 0.33), (0.15, 0.5)]
    neck = [(0.082, 0.6), (0.09, 0.665), (0.135, height)]
    outline = shapes.smooth_profile([*belly, *neck])
    inside = shapes.smooth_profile([(0.12, height), (0.075, 0.66), (0.07, 0.6), (0.12, 0.5)])
    item = shapes.lathe("Vase", [*outline, *inside, (0.001, 0.42)])
    item.data.materials.append(materials.glazed_vase(height))
    item.location = (-0.36, 0.34, 0.0)
    return item


def ball() -> bpy.types.Object:
    radius = 0.19
    item = shapes.ball("Copper Ball", radius)
    item.data.materials.append(materials.copper())
    item.location = (0.06, -0.06, radius)
    return item


def donut() -> bpy.types.Object:
    minor = 0.085
    item = shapes.torus("Donut", 0.165, minor, flatten=0.9)
    item.data.materials.append(materials.donut(minor))
    item.location = (-0.42, -0.44, 0.9 * minor)
    return item


def blocks() -> list[bpy.types.Object]:
    size = 0.23
    wanted = [
        ("Red Block", (0.62, 0.045, 0.035), (0.50, -0.46, 0.5), 24),
        ("Blue Block", (0.03, 0.14, 0.42), (0.68, -0.20, 0.5), -12),
        ("Yellow Block", (0.80, 0.46, 0.03), (0.585, -0.325, 1.5), 62),
    ]
    made = []
    for name, paint, (x, y, level), turn in wanted:
        item = shapes.rounded_box(name, size, 0.016)
        item.data.materials.append(materials.painted_block(name, size, paint))
        item.location = (x, y, level * size)
        item.rotation_euler.z = radians(turn)
        made.append(item)
    return made


def plant() -> list[bpy.types.Object]:
    place = Vector((0.42, 0.42, 0.0))
    outline = [(0.13, 0.0), (0.135, 0.01), (0.178, 0.2), (0.2, 0.205), (0.207, 0.215)]
    rim = [(0.212, 0.27), (0.207, 0.278), (0.185, 0.278), (0.18, 0.27), (0.175, 0.235)]
    pot = shapes.lathe("Pot", [*outline, *rim, (0.001, 0.235)])
    pot.data.materials.append(materials.terracotta())
    earth = shapes.lathe("Soil", [(0.001, 0.225), (0.176, 0.225), (0.172, 0.245), (0.001, 0.255)])
    earth.data.materials.append(materials.soil())
    radius = 0.26
    leaves = shapes.succulent("Succulent", radius=radius)
    leaves.data.materials.append(materials.leaf(radius))
    pot.location = earth.location = place
    leaves.location = place + Vector((0.0, 0.0, 0.25))
    return [pot, earth, leaves]


def lights() -> list[bpy.types.Object]:
    key = bpy.data.lights.new("Window", "AREA")
    key.energy, key.size, key.color = 150.0, 1.2, (1.0, 0.93, 0.84)
    rim = bpy.data.lights.new("Lamp", "AREA")
    rim.energy, rim.size, rim.color = 45.0, 1.0, (0.78, 0.87, 1.0)
    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle, sun.color = 1.3, radians(3.0), (1.0, 0.95, 0.88)
    placed = []
    for light, position in (
        (key, (-2.2, -1.9, 2.9)),
        (rim, (2.4, 1.7, 2.2)),
        (sun, (1.6, -2.6, 4)),
    ):
        item = bpy.data.objects.new(light.name, light)
        item.location = position
        item.rotation_euler = (-Vector(position)).to_track_quat("-Z", "Y").to_euler()
        placed.append(item)
    return placed


def sky() -> bpy.types.World:
    """Soft light from everywhere, brighter above: it fills shadows and is what copper mirrors."""
    world = bpy.data.worlds.new("Sky")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    where, split, ramp = (
        nodes.new(kind)
        for kind in ("ShaderNodeTexCoord", "ShaderNodeSeparateXYZ", "ShaderNodeValToRGB")
    )
    links.new(where.outputs["Generated"], split.inputs[0])
    links.new(split.outputs["Z"], ramp.inputs[0])
    links.new(ramp.outputs[0], nodes["Background"].inputs["Color"])
    ramp.color_ramp.elements[0].color = (0.30, 0.27, 0.25, 1.0)
    ramp.color_ramp.elements[1].color = (0.62, 0.74, 0.95, 1.0)
    nodes["Background"].inputs["Strength"].default_value = 0.4
    return world
