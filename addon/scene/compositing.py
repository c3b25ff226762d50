# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositor nodes that put a scene in front of and behind its neural fields, by depth.

The fields are rendered by a second scene, which shares the camera and the fields with the first and
has the Neural Field engine: Blender renders it along, for stills, animations and in the background,
at the same frame, and nothing has to be rendered before or loaded. Or they come from pictures that
were rendered before, with their depths: then the file needs neither the extension nor the run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy

from ..compat import composite_output, compositor_node, compositor_tree, scene_compositor
from .errors import SceneError
from .images import load_sequence

FRAME = "Neural Field Composite"
"""Label of the frame around the nodes that are made here, by which they are found again."""

SUFFIX = " Neural Field"


def field_scene_of(scene: bpy.types.Scene) -> bpy.types.Scene | None:
    """The scene that renders the fields of this one for its compositor, if there is one."""
    return next(
        (other for other in bpy.data.scenes if other.neural_fields.composited_for == scene), None
    )


def put_field_scene(
    scene: bpy.types.Scene, fields: list[bpy.types.Object], engine: Any
) -> bpy.types.Scene:
    """A scene that renders these fields as the given one does its own objects; an earlier one is
    brought up to date.

    Raises:
        SceneError: where there is nothing to render.
    """
    if not fields:
        raise SceneError("The scene has no neural field.", "Train one, or add a trained one.")
    if scene.camera is None:
        raise SceneError("The scene has no active camera.", "Choose one in the scene's properties.")
    earlier = field_scene_of(scene)
    if earlier is not None:
        bpy.data.scenes.remove(earlier)
    # A copy has all that decides what a picture is: frames, size, color, markers.
    other = scene.copy()
    other.name = scene.name + SUFFIX
    other.neural_fields.composited_for = scene
    _empty(other)
    cameras = {marker.camera for marker in scene.timeline_markers if marker.camera is not None}
    for item in (*fields, scene.camera, *sorted(cameras, key=lambda camera: camera.name)):
        if item.name not in other.collection.objects:
            other.collection.objects.link(item)
    other.camera = scene.camera
    other.render.engine = engine
    other.render.film_transparent = True
    other.render.use_compositing = False
    other.render.use_sequencer = False
    return other


def build(scene: bpy.types.Scene, fields: bpy.types.Scene) -> list[bpy.types.Node]:
    """The nodes of the composite, between what was the scene's picture and its output.

    Where the field is nearer it lies over the scene, elsewhere under it: both by their alpha, so
    that soft edges stay soft.
    """

    def rendered(nodes: "_Nodes") -> tuple[Any, Any]:
        layer = nodes.add("CompositorNodeRLayers", -900, -250, scene=fields)
        layer.label = "Neural Field"
        return layer.outputs["Image"], layer.outputs["Depth"]

    return _build(scene, rendered)


def build_from_files(
    scene: bpy.types.Scene,
    pictures: Sequence[Path],
    depths: Sequence[Path],
    frames: Sequence[int],
    scale: float = 1.0,
) -> list[bpy.types.Node]:
    """The same of views and depths that were rendered, each at its frame of the timeline.

    `scale` is how large the field's unit of length is in the scene. A composite that was there is
    replaced, its second scene included.

    Raises:
        SceneError: where a picture is missing, or their numbers have gaps.
    """
    sequences = [load_sequence(files, frames) for files in (pictures, depths)]
    undo(scene)

    def played(nodes: "_Nodes") -> tuple[Any, Any]:
        sockets = []
        for row, (label, (image, timing)) in enumerate(
            zip(("Neural Field", "Depth"), sequences, strict=True)
        ):
            node = nodes.add("CompositorNodeImage", -900, -250 - 350 * row, image=image)
            node.label = label
            timing.apply(node)
            sockets.append(node.outputs["Image"])
        sequences[1][0].colorspace_settings.name = "Non-Color"
        scaled = nodes.add("Math", -750, -600, operation="MULTIPLY")
        scaled.label = "Size of the Field"
        nodes.link(sockets[1], scaled.inputs[0])
        scaled.inputs[1].default_value = scale
        return sockets[0], scaled.outputs[0]

    return _build(scene, played)


def is_built(scene: bpy.types.Scene) -> bool:
    """Whether a scene is composited with its fields, in either way."""
    tree = scene_compositor(scene)
    built = tree is not None and any(_is_frame(node) for node in tree.nodes)
    return built or field_scene_of(scene) is not None


def _build(
    scene: bpy.types.Scene, source: Callable[["_Nodes"], tuple[Any, Any]]
) -> list[bpy.types.Node]:
    """`source` makes the nodes that say what the field shows, and how far away."""
    for layer in scene.view_layers:
        layer.use_pass_z = True
    tree = compositor_tree(scene)
    remove(tree)
    output = composite_output(tree)
    cg = _scene_layer(tree, scene)
    if not output.inputs[0].is_linked:
        # It stays when the composite is removed: nodes without a picture would render nothing.
        tree.links.new(cg.outputs["Image"], output.inputs[0])
    nodes = _Nodes(tree, output)
    image, depth = source(nodes)
    nearer = nodes.add("Math", -600, -100, operation="LESS_THAN")
    nodes.link(depth, nearer.inputs[0])
    nodes.link(cg.outputs["Depth"], nearer.inputs[1])
    picture = _picture_of(output)
    in_front = nodes.alpha_over(-400, 250, picture, image)
    in_front.label = "Field over Scene"
    behind = nodes.alpha_over(-400, 0, image, picture)
    behind.label = "Scene over Field"
    result = nodes.mix(-200, 100, nearer.outputs[0], behind.outputs[0], in_front.outputs[0])
    tree.links.new(result, output.inputs[0])
    scene.render.use_compositing = True
    return nodes.made


def remove(tree: bpy.types.NodeTree) -> bool:
    """Takes out what `build` made and gives the output its picture back; whether there was any."""
    frame = next((node for node in tree.nodes if _is_frame(node)), None)
    if frame is None:
        return False
    made = [node for node in tree.nodes if node.parent == frame]
    over = next(node for node in made if node.label == "Field over Scene")
    under = next(socket for socket in over.inputs if _is_background(socket, over))
    picture = _picture_at(under)
    output = composite_output(tree)
    if picture is not None and picture.node not in made:
        tree.links.new(picture, output.inputs[0])
    for node in (*made, frame):
        tree.nodes.remove(node)
    return True


def undo(scene: bpy.types.Scene) -> bool:
    """Takes a composite out of a scene, with the scene of its fields; whether there was one."""
    tree = scene_compositor(scene)
    found = tree is not None and remove(tree)
    fields = field_scene_of(scene)
    if fields is not None:
        bpy.data.scenes.remove(fields)
    return found or fields is not None


def _empty(scene: bpy.types.Scene) -> None:
    root = scene.collection
    for collection in list(root.children):
        root.children.unlink(collection)
    for item in list(root.objects):
        root.objects.unlink(item)


def _scene_layer(tree: bpy.types.NodeTree, scene: bpy.types.Scene) -> Any:
    """The node of what the scene itself renders; made where there is none."""
    for node in tree.nodes:
        if node.type == "R_LAYERS" and node.scene == scene:
            return node
    node = compositor_node(tree, "CompositorNodeRLayers")
    node.scene = scene
    output = composite_output(tree)
    node.location = (output.location.x - 900, output.location.y + 200)
    return node


def _picture_of(output: bpy.types.Node) -> bpy.types.NodeSocket | None:
    return _picture_at(output.inputs[0])


def _picture_at(socket: Any) -> bpy.types.NodeSocket | None:
    return socket.links[0].from_socket if socket.is_linked else None


def _is_frame(node: bpy.types.Node) -> bool:
    return node.type == "FRAME" and node.label == FRAME


def _is_background(socket: bpy.types.NodeSocket, node: bpy.types.Node) -> bool:
    return socket == image_inputs(node)[0]


def image_inputs(node: bpy.types.Node) -> list[Any]:
    """The two pictures of an Alpha Over node, what is behind first."""
    return [socket for socket in node.inputs if socket.type == "RGBA"]


def _socket(sockets: Any, identifier: str) -> Any:
    """Several sockets of a Mix node have one name, one for each type of data."""
    return next(socket for socket in sockets if socket.identifier == identifier)


class _Nodes:
    """Makes nodes within one frame, left of the output."""

    def __init__(self, tree: bpy.types.NodeTree, output: bpy.types.Node) -> None:
        self.tree = tree
        self.frame = tree.nodes.new("NodeFrame")
        self.frame.label = FRAME
        self.made: list[bpy.types.Node] = []
        self._corner = output.location.copy()

    def add(self, kind: str, x: float, y: float, **values: Any) -> Any:
        node = compositor_node(self.tree, kind)
        for name, value in values.items():
            setattr(node, name, value)
        node.location = (self._corner.x + x, self._corner.y + y)
        node.parent = self.frame
        self.made.append(node)
        return node

    def link(self, source: Any, target: Any) -> None:
        self.tree.links.new(source, target)

    def alpha_over(self, x: float, y: float, behind: Any, front: Any) -> Any:
        node = self.add("CompositorNodeAlphaOver", x, y)
        for source, target in zip((behind, front), image_inputs(node), strict=True):
            self.link(source, target)
        return node

    def mix(self, x: float, y: float, share: Any, first: Any, second: Any) -> Any:
        """The output of a node that goes from the first picture to the second."""
        node = self.add("Mix", x, y)
        if hasattr(node, "data_type"):
            node.data_type = "RGBA"
            names = ("Factor_Float", "A_Color", "B_Color")
            inputs = [_socket(node.inputs, name) for name in names]
            result = _socket(node.outputs, "Result_Color")
        else:
            inputs, result = list(node.inputs[:3]), node.outputs[0]
        for source, target in zip((share, first, second), inputs, strict=True):
            self.link(source, target)
        return result
