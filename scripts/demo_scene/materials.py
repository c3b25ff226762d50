# SPDX-License-Identifier: GPL-3.0-or-later
"""Procedural materials for the demo's scene: nothing to download, nothing to unpack."""

from math import pi

import bpy

Color = tuple[float, float, float]
Socket = bpy.types.NodeSocket
Value = Socket | Color | float


class Surface:
    """A Principled material and short names for the nodes that feed its colour."""

    def __init__(
        self, name: str, roughness: float, metallic: float = 0.0, coat: float = 0.0
    ) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.shader.inputs["Roughness"].default_value = roughness
        self.shader.inputs["Metallic"].default_value = metallic
        self.shader.inputs["Coat Weight"].default_value = coat
        self.shader.inputs["Coat Roughness"].default_value = 0.12
        self.position = self.node("ShaderNodeTexCoord").outputs["Object"]

    def node(self, kind: str, **properties: object) -> bpy.types.Node:
        made = self.tree.nodes.new(kind)
        for name, value in properties.items():
            setattr(made, name, value)
        return made

    def math(self, operation: str, first: Value, second: Value = 0.0, third: Value = 0.0) -> Socket:
        made = self.node("ShaderNodeMath", operation=operation)
        for socket, value in zip(made.inputs, (first, second, third), strict=True):
            self.feed(socket, value)
        return made.outputs[0]

    def feed(self, socket: Socket, value: Value) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def scaled(self, scale: tuple[float, float, float]) -> Socket:
        mapping = self.node("ShaderNodeMapping")
        self.feed(mapping.inputs["Vector"], self.position)
        mapping.inputs["Scale"].default_value = scale
        return mapping.outputs[0]

    def noise(self, where: Socket, scale: float, detail: float = 4.0) -> Socket:
        made = self.node("ShaderNodeTexNoise")
        self.feed(made.inputs["Vector"], where)
        made.inputs["Scale"].default_value = scale
        made.inputs["Detail"].default_value = detail
        return made.outputs[0]

    def axis(self, name: str) -> Socket:
        split = self.node("ShaderNodeSeparateXYZ")
        self.feed(split.inputs[0], self.position)
        return split.outputs[name]

    def ramp(self, factor: Value, stops: list[tuple[float, Color]], hard: bool = False) -> Socket:
        made = self.node("ShaderNodeValToRGB")
        self.feed(made.inputs[0], factor)
        made.color_ramp.interpolation = "CONSTANT" if hard else "LINEAR"
        elements = made.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(1.0)
        for element, (place, color) in zip(elements, stops, strict=True):
            element.position = place
            element.color = (*color, 1.0)
        return made.outputs[0]

    def mix(self, factor: Value, first: Value, second: Value) -> Socket:
        made = self.node("ShaderNodeMix", data_type="RGBA")
        self.feed(made.inputs["Factor"], factor)
        for name, value in (("A", first), ("B", second)):
            socket = next(s for s in made.inputs if s.name == name and s.type == "RGBA")
            self.feed(socket, (*value, 1.0) if isinstance(value, tuple) else value)
        return next(socket for socket in made.outputs if socket.type == "RGBA")

    def colored(self, color: Value) -> bpy.types.Material:
        value = (*color, 1.0) if isinstance(color, tuple) else color
        self.feed(self.shader.inputs["Base Color"], value)
        return self.material


def wood() -> bpy.types.Material:
    surface = Surface("Oak", roughness=0.45)
    rings = surface.node("ShaderNodeTexWave", wave_type="RINGS", rings_direction="Y")
    surface.feed(rings.inputs["Vector"], surface.scaled((1.0, 0.13, 1.0)))
    rings.inputs["Scale"].default_value = 2.2
    rings.inputs["Distortion"].default_value = 9.0
    rings.inputs["Detail"].default_value = 3.0
    rings.inputs["Detail Scale"].default_value = 1.4
    grain = surface.noise(surface.scaled((26.0, 1.6, 26.0)), 2.2, detail=6.0)
    figure = surface.math(
        "MULTIPLY_ADD", grain, 0.55, surface.math("MULTIPLY", rings.outputs[1], 0.5)
    )
    return surface.colored(
        surface.ramp(
            figure,
            [
                (0.12, (0.16, 0.065, 0.022)),
                (0.45, (0.42, 0.20, 0.075)),
                (0.85, (0.66, 0.38, 0.17)),
            ],
        )
    )


def glazed_vase(height: float) -> bpy.types.Material:
    """Cream glaze, a dark blue foot and lip, and a band of spots."""
    surface = Surface("Glaze", roughness=0.32, coat=0.25)
    level = surface.math("DIVIDE", surface.axis("Z"), height)
    cream, blue, teal = (0.80, 0.74, 0.62), (0.022, 0.075, 0.24), (0.05, 0.28, 0.33)
    bands = surface.ramp(
        level,
        [
            (0.0, blue),
            (0.10, cream),
            (0.17, teal),
            (0.20, cream),
            (0.56, teal),
            (0.59, cream),
            (0.645, blue),
            (0.67, cream),
            (0.93, blue),
        ],
        hard=True,
    )
    # Spots in rows: how far a point is from the middle of its cell of a grid around the belly.
    angle = surface.math("ARCTAN2", surface.axis("Y"), surface.axis("X"))
    across = surface.math("PINGPONG", surface.math("MULTIPLY", angle, 9 / pi), 0.5)
    along = surface.math("PINGPONG", surface.math("MULTIPLY", level, 7.0), 0.5)
    squares = surface.math(
        "ADD", surface.math("POWER", across, 2.0), surface.math("POWER", along, 2.0)
    )
    spot = surface.math("LESS_THAN", squares, 0.3**2)
    in_band = surface.math("COMPARE", level, 0.36, 0.13)
    return surface.colored(surface.mix(surface.math("MULTIPLY", spot, in_band), bands, blue))


def copper() -> bpy.types.Material:
    surface = Surface("Copper", roughness=0.24, metallic=1.0)
    return surface.colored((0.86, 0.42, 0.24))


def donut(minor: float) -> bpy.types.Material:
    """Baked dough below a wavy line, icing with sprinkled colours above."""
    surface = Surface("Donut", roughness=0.42)
    line = surface.math(
        "MULTIPLY_ADD", surface.noise(surface.position, 9.0, detail=1.0), 0.9 * minor, -0.42 * minor
    )
    iced = surface.math("GREATER_THAN", surface.axis("Z"), line)
    dough = surface.ramp(
        surface.noise(surface.position, 30.0),
        [(0.3, (0.50, 0.25, 0.085)), (0.7, (0.68, 0.40, 0.16))],
    )
    cells = surface.node("ShaderNodeTexVoronoi", feature="F1")
    surface.feed(cells.inputs["Vector"], surface.position)
    cells.inputs["Scale"].default_value = 21.0
    pick = surface.node("ShaderNodeSeparateColor")
    surface.feed(pick.inputs[0], cells.outputs["Color"])
    sprinkles = surface.ramp(
        pick.outputs[0],
        [
            (0.0, (0.92, 0.86, 0.75)),
            (0.25, (0.95, 0.62, 0.05)),
            (0.5, (0.10, 0.42, 0.55)),
            (0.75, (0.52, 0.75, 0.12)),
        ],
        hard=True,
    )
    sprinkled = surface.math("LESS_THAN", cells.outputs["Distance"], 0.29)
    icing = surface.mix(sprinkled, (0.83, 0.19, 0.30), sprinkles)
    return surface.colored(surface.mix(iced, dough, icing))


def painted_block(name: str, size: float, paint: Color) -> bpy.types.Material:
    """Bare beech along the edges, and a painted field with a round medallion on each face."""
    surface = Surface(name, roughness=0.5)
    absolute = [surface.math("ABSOLUTE", surface.axis(axis)) for axis in "XYZ"]
    largest = surface.math(
        "MAXIMUM", surface.math("MAXIMUM", absolute[0], absolute[1]), absolute[2]
    )
    smallest = surface.math(
        "MINIMUM", surface.math("MINIMUM", absolute[0], absolute[1]), absolute[2]
    )
    total = surface.math("ADD", surface.math("ADD", absolute[0], absolute[1]), absolute[2])
    middle = surface.math("SUBTRACT", surface.math("SUBTRACT", total, largest), smallest)
    field = surface.math("LESS_THAN", middle, 0.37 * size)
    squares = surface.math(
        "ADD", surface.math("POWER", middle, 2.0), surface.math("POWER", smallest, 2.0)
    )
    medallion = surface.math("LESS_THAN", squares, (0.21 * size) ** 2)
    beech = surface.ramp(
        surface.noise(surface.scaled((5.0, 30.0, 30.0)), 3.0),
        [(0.3, (0.62, 0.40, 0.20)), (0.7, (0.78, 0.56, 0.32))],
    )
    painted = surface.mix(field, beech, paint)
    return surface.colored(surface.mix(medallion, painted, (0.86, 0.80, 0.68)))


def terracotta() -> bpy.types.Material:
    surface = Surface("Terracotta", roughness=0.85)
    return surface.colored(
        surface.ramp(
            surface.noise(surface.scaled((6.0, 6.0, 22.0)), 1.6, detail=5.0),
            [(0.3, (0.45, 0.135, 0.06)), (0.7, (0.66, 0.25, 0.125))],
        )
    )


def soil() -> bpy.types.Material:
    surface = Surface("Soil", roughness=0.95)
    return surface.colored(
        surface.ramp(
            surface.noise(surface.position, 60.0),
            [(0.35, (0.03, 0.018, 0.012)), (0.7, (0.16, 0.10, 0.065))],
        )
    )


def leaf(radius: float) -> bpy.types.Material:
    """Green in the heart, paler outwards, with red-brown tips."""
    surface = Surface("Leaf", roughness=0.5)
    length = surface.node("ShaderNodeVectorMath", operation="LENGTH")
    surface.feed(length.inputs[0], surface.position)
    outward = surface.math("DIVIDE", length.outputs["Value"], radius)
    return surface.colored(
        surface.ramp(
            outward,
            [
                (0.15, (0.08, 0.26, 0.05)),
                (0.65, (0.22, 0.46, 0.16)),
                (0.9, (0.50, 0.62, 0.28)),
                (1.0, (0.58, 0.16, 0.10)),
            ],
        )
    )


def paint(name: str, color: Color) -> bpy.types.Material:
    """One colour, with the sheen of lacquered wood."""
    return Surface(name, roughness=0.5, coat=0.15).colored(color)
