# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine leaves in Blender, and how the viewport chooses its pictures."""

from types import ModuleType, SimpleNamespace

import headless_blender
import numpy as np
import pytest
from neural_fields.addon import engine, engine_viewport
from neural_fields.addon.engine_viewport import Seen, Viewport
from neural_fields.addon.panels.composite import NEURALFIELDS_PT_composite
from neural_fields.addon.scene.frame_pixels import NO_DEPTH, FramePixels, by_depth

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def seen(signature: str, finest: int = 1) -> Seen:
    return Seen(
        views=[],
        signature=(signature,),
        size=(800, 600),
        finest=finest,
        device="cpu",
        background=None,
    )


def engines_of(bpy: ModuleType) -> list[str]:
    return [
        panel.__name__
        for panel in bpy.types.Panel.__subclasses__()
        if engine.ENGINE in getattr(panel, "COMPAT_ENGINES", ())
    ]


def test_blenders_own_panels_show_for_the_engine_until_it_is_unregistered(bpy: ModuleType) -> None:
    shown = engines_of(bpy)
    assert {"RENDER_PT_format", "RENDER_PT_output", "RENDER_PT_frame_range"} <= set(shown)
    assert not set(shown) & engine.LEFT_OUT
    extension = headless_blender.load_extension()
    for _ in range(2):
        extension.unregister()
        assert [name for name in engines_of(bpy) if name != "RENDER_PT_neural_field"] == []
        assert not hasattr(bpy.types, "RENDER_PT_neural_field")
        extension.register()
        assert sorted(engines_of(bpy)) == sorted(shown)


def test_a_viewport_goes_from_coarse_to_fine_and_then_rests() -> None:
    viewport, view = Viewport(), seen("a")
    taken = []
    while (reduction := viewport.next_reduction(view)) and len(taken) < 20:
        taken.append(reduction)
        viewport.shown = (view.signature, reduction)
    assert taken == [8, 4, 2, 1]
    assert viewport.next_reduction(seen("b")) == 8


def test_a_quick_field_is_shown_fine_at_once_and_a_slow_one_never_too_fine() -> None:
    viewport = Viewport(pixels_per_s=1e8)
    assert viewport.next_reduction(seen("a")) == 1
    viewport = Viewport(pixels_per_s=2e6)
    first = viewport.next_reduction(seen("a"))
    assert 800 * 600 / first**2 / 2e6 <= engine_viewport.COARSE_S
    viewport.shown = (("a",), first)
    assert viewport.next_reduction(seen("a")) == 1
    slow = Viewport(pixels_per_s=1.0)
    assert slow.next_reduction(seen("a")) == engine_viewport.REDUCTIONS[-1]
    assert Viewport().next_reduction(seen("a", finest=16)) == 16
    viewport.shown = (("a",), 4)
    assert viewport.next_reduction(seen("a", finest=4)) == 0


def test_half_clear_pictures_are_put_together_from_the_nearest() -> None:
    """Against a slow loop over each pixel."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(3):
        alpha = random.random((4, 5, 1), dtype=np.float32)
        alpha[random.random((4, 5)) < 0.3] = 0
        rgb = random.random((4, 5, 3), dtype=np.float32) * alpha
        depth = np.where(alpha[..., 0] > 0, random.random((4, 5)), NO_DEPTH).astype(np.float32)
        frames.append(FramePixels(np.concatenate([rgb, alpha], axis=-1), depth))
    joined = by_depth(frames)
    for place in np.ndindex(4, 5):
        layers = sorted(((one.depth[place], one.rgba[place]) for one in frames), key=lambda x: x[0])
        color, left, depth, weight = np.zeros(4), 1.0, 0.0, 0.0
        for distance, rgba in layers:
            color = color + left * rgba
            depth += left * rgba[3] * (distance if rgba[3] else 0)
            weight += left * rgba[3]
            left *= 1 - rgba[3]
        np.testing.assert_allclose(joined.rgba[place], color, atol=1e-6)
        expected = depth / weight if weight else NO_DEPTH
        assert joined.depth[place] == pytest.approx(expected, rel=1e-5)


def test_the_composites_panel_has_its_buttons_in_each_state(bpy: ModuleType) -> None:
    drawn: list[str] = []

    class Layout:
        def __getattr__(self, name: str):
            def call(*arguments, **_named):
                drawn.extend(arguments[:1] if name == "operator" else ())
                return Layout()

            return call

        def __setattr__(self, name: str, value: object) -> None: ...

    assert not NEURALFIELDS_PT_composite.poll(bpy.context)
    field = bpy.data.objects.new("Field", None)
    field.neural_field.run = "/run"
    bpy.context.scene.collection.objects.link(field)
    assert NEURALFIELDS_PT_composite.poll(bpy.context)
    NEURALFIELDS_PT_composite.draw(SimpleNamespace(layout=Layout()), bpy.context)
    assert drawn == ["neural_fields.composite"]
    mesh = bpy.data.objects.new("Mesh", bpy.data.meshes.new("Mesh"))
    bpy.context.scene.collection.objects.link(mesh)
    field.neural_field.mesh_object = mesh
    drawn.clear()
    NEURALFIELDS_PT_composite.draw(SimpleNamespace(layout=Layout()), bpy.context)
    assert drawn == ["neural_fields.composite", *["neural_fields.set_proxy"] * 4]
