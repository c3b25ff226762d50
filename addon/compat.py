# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between Blender versions, found by asking what is there."""

import contextlib
import functools
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import bpy
import numpy as np

_OPTIONS = bpy.types.Property.bl_rna.properties
BLEND_RELATIVE: set[str] = (
    {"PATH_SUPPORTS_BLEND_RELATIVE"} if "is_path_supports_blend_relative" in _OPTIONS else set()
)
"""Option of a path property that may begin with `//`: Blender 4.5 and later want to be told."""


def by_session_uid(collection: Any, uid: int) -> Any:
    """The data-block with this number, or None; it survives undo and renaming, not reopening the
    file.
    """
    return next((block for block in collection if block.session_uid == uid), None)


def uses_compositor(scene: bpy.types.Scene) -> bool:
    """Whether nodes change a rendered picture; since 5.0 a node group of its own does that."""
    if hasattr(scene, "compositing_node_group"):
        has_nodes = scene.compositing_node_group is not None
    else:
        has_nodes = scene.use_nodes
    return has_nodes and scene.render.use_compositing


def shader_nodes(block: Any) -> Any:
    """The nodes of a material or world, made where there are none: since 5.0 each has them from the
    first, and asking for them warns.
    """
    if block.node_tree is None:
        block.use_nodes = True
    return block.node_tree


def used_shader_nodes(block: Any) -> Any | None:
    """The nodes that a material or world is shown with, or None where they are switched off, which
    is possible before 5.0.
    """
    switch = block.bl_rna.properties.get("use_nodes")
    if switch is None or getattr(switch, "is_deprecated", False) or block.use_nodes:
        return block.node_tree
    return None


def has_denoiser() -> bool:
    """Whether this build has OpenImageDenoise; without it Cycles raises where denoising is on."""
    try:
        import _cycles
    except ImportError:
        return False
    return bool(getattr(_cycles, "with_openimagedenoise", False))


def set_still_png(
    settings: bpy.types.ImageFormatSettings, color_mode: Literal["RGB", "RGBA"]
) -> None:
    """Makes 8-bit PNG the output; since 5.0 the kind of medium has to be right first."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode = color_mode
    settings.color_depth = "8"
    settings.compression = 15


_USD_MODULES = ("Usd", "UsdGeom", "Vt", "Sdf")


def usd_modules() -> dict[str, Any] | None:
    """Blender's own USD modules by name, or None where it has none for Python.

    Never those of another program: two builds of USD in one process crash each other.
    """
    folder = Path(bpy.utils.resource_path("LOCAL")) / "python"
    try:
        if "pxr" not in sys.modules:
            _load_usd(folder)
        if not Path(sys.modules["pxr"].__file__ or "").is_relative_to(folder):
            return None
        return {name: importlib.import_module(f"pxr.{name}") for name in _USD_MODULES}
    except ImportError:
        return None


def _load_usd(folder: Path) -> None:
    """Raises ImportError where Blender brings no USD for Python, as in most systems' packages."""
    # The `bpy` wheel has it in its folder, but not on Python's path.
    places = (f"lib/python{sys.version_info[0]}.{sys.version_info[1]}", "lib")
    inits = [folder / place / "site-packages" / "pxr" / "__init__.py" for place in places]
    init = next((path for path in inits if path.is_file()), None)
    if init is None:
        raise ImportError("Blender brings no pxr")
    spec = importlib.util.spec_from_file_location(
        "pxr", init, submodule_search_locations=[str(init.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["pxr"] = package
    spec.loader.exec_module(package)


def vdb_module() -> Any | None:
    """Blender's own module that writes OpenVDB files, or None where it has none for Python."""
    for name in ("openvdb", "pyopenvdb"):
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    # The `bpy` wheel has it in its folder, but not on Python's path.
    folder = Path(bpy.utils.resource_path("LOCAL")) / "python"
    place = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for found in (*(folder / place).glob("openvdb.*"), *folder.glob("lib/site-packages/openvdb.*")):
        spec = importlib.util.spec_from_file_location("openvdb", found)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            sys.modules["openvdb"] = module
            spec.loader.exec_module(module)
            return module
    return None


@functools.cache
def vdb_centers_voxels(vdb: Any) -> bool:
    """Whether Blender draws a voxel of an OpenVDB grid around its index, as it does since 5.0.

    Before, it filled the cell from its index to the next: half a voxel off on each axis. The
    box of a small grid tells.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.vdb"
        probe = vdb.FloatGrid()
        probe.name = "density"
        probe.copyFromArray(np.ones((2, 2, 2), np.float32), ijk=(0, 0, 0))
        vdb.write(str(path), grids=[probe])
        volume = bpy.data.volumes.new("probe")
        shown = bpy.data.objects.new("probe", volume)
        try:
            volume.filepath = str(path)
            volume.grids.load()
            lowest = min(corner[0] for corner in shown.bound_box)
        finally:
            bpy.data.objects.remove(shown)
            bpy.data.volumes.remove(volume)
    return lowest < -0.25


def march_volumes(scene: bpy.types.Scene) -> bool:
    """Has Cycles add volumes up step by step, as it always did before 5.0; whether it did not yet.

    Since then it draws distances by chance, which no step can falsify: right for clouds that
    scatter, but what only absorbs and glows has noise then, and each picture starts with seconds of
    preparation.
    """
    cycles = getattr(scene, "cycles", None)
    if cycles is None or getattr(cycles, "volume_biased", True):
        return False
    cycles.volume_biased = True
    return True


def strips_of(scene: bpy.types.Scene) -> Any:
    """The strips of a scene's sequencer, which is made where there is none."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def strip_range(strip: Any) -> tuple[int, int]:
    """First frame of a strip and the one after its last; the names changed in 5.1."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


@contextlib.contextmanager
def window_override() -> Iterator[None]:
    """A context with a window, where there is one: timers have none, and importers want one."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not len(windows):
        yield
        return
    with bpy.context.temp_override(window=windows[0]):
        yield


def scene_compositor(scene: bpy.types.Scene) -> Any:
    """The nodes of a scene's compositor, or None: since 5.0 they are a node group of their own."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def compositor_tree(scene: bpy.types.Scene) -> Any:
    """The nodes of a scene's compositor, made where there are none."""
    if not hasattr(scene, "compositing_node_group"):
        scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new(f"{scene.name} Compositing", "CompositorNodeTree")
        scene.compositing_node_group = tree
    return scene.compositing_node_group


def composite_output(tree: Any) -> Any:
    """The node whose first input is the picture; made where there is none."""
    kind = "CompositorNodeComposite" if _has_composite_node() else "NodeGroupOutput"
    for node in tree.nodes:
        if node.bl_idname == kind and (kind != "NodeGroupOutput" or node.is_active_output):
            return node
    if kind == "NodeGroupOutput" and not any(
        item.item_type == "SOCKET" and item.in_out == "OUTPUT" for item in tree.interface.items_tree
    ):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree.nodes.new(kind)


def _has_composite_node() -> bool:
    return "compositing_node_group" not in bpy.types.Scene.bl_rna.properties


_OTHER_NODES = {"Math": "CompositorNodeMath", "Mix": "CompositorNodeMixRGB"}


def compositor_node(tree: Any, kind: str) -> Any:
    """A new node by its whole name; `Math` and `Mix` are those that this Blender has here."""
    if kind not in _OTHER_NODES:
        return tree.nodes.new(kind)
    try:
        return tree.nodes.new(_OTHER_NODES[kind])
    except RuntimeError:  # since 5.0 they are the shader's
        return tree.nodes.new(f"ShaderNode{kind}")


def forget_write_still() -> None:
    """Has the next F12 write no file.

    A key takes up the options of the last call of Render Image where Blender does not have it
    forget them (5.2 does not), and a capture's calls write their pictures.
    """
    last: Any = bpy.context.window_manager.operator_properties_last("render.render")
    if last is not None:
        last.write_still = False
