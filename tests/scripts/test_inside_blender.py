# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tour asks of Blender, in one without a window; its screen has areas all the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def inside() -> ModuleType:
    pytest.importorskip("bpy", reason="needs the bpy wheel")
    from scripts.tour import inside_blender

    return inside_blender


@pytest.fixture
def panels(inside: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type, type]]:
    """A panel and a closed sub-panel in the tab; those of the add-on are left alone."""
    import bpy

    monkeypatch.setattr(inside, "PANELS", "NEURALFIELDS_PT_example")

    class Parent(bpy.types.Panel):
        bl_idname = "NEURALFIELDS_PT_example"
        bl_label = "Example"
        bl_space_type = "VIEW_3D"
        bl_region_type = "UI"
        bl_category = "Neural Fields"

        def draw(self, context: Any) -> None:
            self.layout.label(text="Example")

        def draw_header_preset(self, context: Any) -> None:
            self.layout.label(text="mine")

    class Child(bpy.types.Panel):
        bl_idname = "NEURALFIELDS_PT_example_part"
        bl_parent_id = "NEURALFIELDS_PT_example"
        bl_label = "Part"
        bl_space_type = "VIEW_3D"
        bl_region_type = "UI"
        bl_category = "Neural Fields"
        bl_options = {"DEFAULT_CLOSED"}

        @classmethod
        def poll(cls, context: Any) -> bool:
            return context.area.type == "VIEW_3D" and context.mode != "OBJECT"

        def draw(self, context: Any) -> None:
            self.layout.label(text="Part")

    for kind in (Parent, Child):
        bpy.utils.register_class(kind)
    yield Parent, Child
    for kind in (Child, Parent):
        bpy.utils.unregister_class(kind)


def test_the_tabs_panels_are_told_with_their_parents_first(
    inside: ModuleType, panels: tuple[type, type]
) -> None:
    found = {one["id"]: one for one in inside.panels()}
    assert list(found) == ["NEURALFIELDS_PT_example", "NEURALFIELDS_PT_example_part"]
    parent, child = found.values()
    assert (parent["parent"], parent["closed"], parent["shown"]) == ("", False, True)
    assert (child["parent"], child["closed"], child["shown"]) == (parent["id"], True, False)


def test_each_header_gets_a_mark_and_keeps_what_it_had(
    inside: ModuleType, panels: tuple[type, type]
) -> None:
    assert inside.mark_headers() == 2
    assert all(kind.is_registered for kind in panels)
    drawn: list[tuple[str, dict[str, Any]]] = []
    button = SimpleNamespace()

    def operator(name: str, **options: Any) -> SimpleNamespace:
        drawn.append((name, options))
        return button

    layout = SimpleNamespace(
        label=lambda **words: drawn.append(("label", words)), operator=operator
    )
    panels[0].draw_header_preset(SimpleNamespace(layout=layout), None)
    assert drawn[0] == ("label", {"text": "mine"})
    assert drawn[1] == ("wm.context_set_string", {"text": "", "emboss": False})
    assert button.data_path == "NEURALFIELDS_PT_example"


def test_regions_are_told_with_their_places(inside: ModuleType) -> None:
    views = [one for one in inside.regions() if one["area_type"] == "VIEW_3D"]
    assert {"HEADER", "WINDOW"} <= {one["region"] for one in views}
    assert all(one["width"] > 1 and one["height"] > 1 for one in views)
    assert isinstance(inside.open_sidebar(), str)
    assert inside.view_and_sidebar()[1].spaces[0].show_region_ui
    assert inside.under_mouse(0, views[0]["area"], "WINDOW") == ""


def test_a_question_is_answered_once_and_a_wrong_one_with_its_problem(
    inside: ModuleType, tmp_path: Path
) -> None:
    def ask(number: int, question: str, **about: Any) -> dict[str, Any]:
        told = {"number": number, "ask": question, "about": about}
        (tmp_path / "ask.json").write_text(json.dumps(told), encoding="utf-8")
        assert 0 < inside.answer(tmp_path) < 1
        assert not (tmp_path / "ask.json").exists()
        return json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))

    assert ask(1, "panels") == {"number": 1, "answer": inside.panels()}
    assert ask(2, "dig")["problem"] == "KeyError: 'dig'"
    assert "no_such_word" in ask(3, "scale", no_such_word=1)["problem"]
    inside.answer(tmp_path)  # nothing is asked
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))["number"] == 3


def test_values_are_put_into_the_scenes_settings_by_their_path(inside: ModuleType) -> None:
    import bpy

    scene = bpy.context.scene
    before = scene.frame_end
    assert inside.put("frame_end", 7) == before
    assert scene.frame_end == 7
    inside.put("frame_end", before)
    samples = scene.render.resolution_percentage
    assert inside.put("render.resolution_percentage", 50) == samples
    assert scene.render.resolution_percentage == 50
    inside.put("render.resolution_percentage", samples)


def test_an_object_is_chosen_alone_and_can_be_made_to_move(inside: ModuleType) -> None:
    import bpy

    for name in ("Chosen", "Other"):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, None))
    bpy.context.view_layer.update()
    assert inside.choose_object("Chosen")
    layer = bpy.context.view_layer.objects
    assert [item.name for item in layer if item.select_get()] == ["Chosen"]
    assert layer.active.name == "Chosen"
    assert inside.animate("Chosen", 5)
    bpy.context.scene.frame_set(5)
    assert bpy.data.objects["Chosen"].location.z == pytest.approx(0.4)
    bpy.context.scene.frame_set(1)
    for name in ("Chosen", "Other"):
        bpy.data.objects.remove(bpy.data.objects[name])


def test_renders_are_counted_from_the_first_question_on(inside: ModuleType) -> None:
    import bpy

    assert inside.renders() == {"complete": 0, "cancel": 0}
    for name, handler in (("complete", bpy.app.handlers.render_complete),
                          ("cancel", bpy.app.handlers.render_cancel)):  # fmt: skip
        handler[-1]()
        assert inside.renders()[name] == 1
        del handler[-1]
    inside._renders.clear()
