# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for Blender's layout would be worth nothing if it let everything pass."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import recording_layout
from recording_layout import RecordingLayout

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def training(bpy: ModuleType) -> Any:
    return bpy.context.scene.neural_fields.training


@pytest.mark.parametrize(
    "wrong",
    [
        lambda layout, _settings: layout.operator("neural_fields.no_such_thing"),
        lambda layout, _settings: layout.label(text="a", icon="NO_SUCH_ICON"),
        lambda layout, _settings: layout.label(txt="a"),
        lambda layout, _settings: layout.label(text=5),
        lambda layout, _settings: layout.progres(factor=0.5),
        lambda layout, settings: layout.prop(settings, "no_such_property"),
        lambda layout, settings: layout.prop(settings),
        lambda layout, settings: layout.prop_search(settings, "method", settings, "nothing"),
        lambda layout, settings: layout.template_list(
            "UI_UL_list", "", settings, "a", settings, "b"
        ),
        lambda layout, _settings: layout.menu("NO_SUCH_MT_menu"),
        lambda layout, _settings: setattr(layout, "enbled", False),
        lambda layout, _settings: setattr(layout.operator("neural_fields.train"), "color", 1),
    ],
)
def test_what_blender_does_not_have_fails(
    bpy: ModuleType, wrong: Callable[[RecordingLayout, Any], Any]
) -> None:
    with pytest.raises((AssertionError, AttributeError)):
        wrong(RecordingLayout(), training(bpy))


def test_what_was_drawn_can_be_asked_for(bpy: ModuleType) -> None:
    layout = RecordingLayout()
    column = layout.box().column(align=True)
    column.enabled = False
    column.prop(training(bpy), "preset")
    layout.operator("neural_fields.train", icon="PLAY").method = "nerf"
    header, body = layout.panel("more", default_closed=True)
    header.label(text="More")
    body.progress(factor=0.5, text="half")
    assert recording_layout.properties(layout) == ["preset"]
    assert recording_layout.operators(layout) == ["neural_fields.train"]
    assert recording_layout.texts(layout).splitlines() == ["Quality", "Train Field", "More", "half"]
    (drawn,) = recording_layout.called(layout, "prop")
    (button,) = recording_layout.called(layout, "operator")
    assert (drawn.enabled, button.enabled) == (False, True)
    assert button.result.method == "nerf"
