# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine "Neural Field": what the scene's camera, or the viewport, sees of its fields.

It gives everything that Blender's own rendering has: frame ranges, output formats, the compositor,
`blender -b -a`. The fields stay in the memory of a worker, which renders them.
"""

import bpy

from . import engine_final, engine_viewport

ENGINE = "NEURAL_FIELD"

LEFT_OUT = {
    "VIEWLAYER_PT_filter",
    "VIEWLAYER_PT_layer_passes",
    "RENDER_PT_freestyle",
    "RENDER_PT_gpencil",
    "RENDER_PT_simplify",
    "RENDER_PT_stereoscopy",
}
"""Blender's own panels that say something of other engines only."""

OWN = "RENDER_PT_neural_field"
"""The engine's own panel, which goes with its class."""


class NeuralFieldRenderEngine(bpy.types.RenderEngine):
    bl_idname = ENGINE
    bl_label = "Neural Field"
    bl_use_preview = False
    bl_use_postprocess = True
    bl_use_eevee_viewport = True

    def update_render_passes(
        self, scene: bpy.types.Scene | None = None, renderlayer: bpy.types.ViewLayer | None = None
    ) -> None:
        for name, channels, identifier, kind in engine_final.PASSES:
            self.register_pass(scene, renderlayer, name, channels, identifier, kind)

    # The stubs want every argument to be possibly None, and know a property by this name.
    def render(self, depsgraph: bpy.types.Depsgraph) -> None:  # type: ignore[override]
        engine_final.render(self, depsgraph)

    def view_update(  # type: ignore[override]
        self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph
    ) -> None:
        # What is seen is compared at each drawing, which follows.
        self.tag_redraw()

    def view_draw(  # type: ignore[override]
        self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph
    ) -> None:
        engine_viewport.draw(self, context, depsgraph)


def show_standard_panels(shown: bool) -> None:
    """Has Blender's panels of output, frames, film and color show for this engine, or no more."""
    for panel in bpy.types.Panel.__subclasses__():
        engines = getattr(panel, "COMPAT_ENGINES", None)
        if not isinstance(engines, set) or panel.__name__ in {OWN, *LEFT_OUT}:
            continue
        if not shown:
            engines.discard(ENGINE)
        elif "BLENDER_RENDER" in engines:
            engines.add(ENGINE)


def register() -> None:
    bpy.utils.register_class(NeuralFieldRenderEngine)
    show_standard_panels(True)


def unregister() -> None:
    engine_viewport.stop()
    show_standard_panels(False)
    bpy.utils.unregister_class(NeuralFieldRenderEngine)
