# SPDX-License-Identifier: GPL-3.0-or-later
from types import ModuleType

import pytest
from neural_fields.addon import capture_problems
from neural_fields.addon.capture_problems import Concerned
from neural_fields.addon.panels.capture import NEURALFIELDS_PT_capture_options
from neural_fields.addon.panels.capture_check import NEURALFIELDS_PT_capture_check
from recording_layout import draw

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def drawn(bpy: ModuleType) -> list[tuple[str, str]]:
    layout = draw(NEURALFIELDS_PT_capture_check, bpy.context)
    return [(call.function, call.text) for call in layout.calls if call.text]


def test_nothing_is_claimed_before_the_first_check(bpy: ModuleType) -> None:
    assert drawn(bpy) == [("operator", "Check Capture")]
    capture_problems.summarize()
    assert ("label", "No problems found") in drawn(bpy)


def test_each_problem_has_its_sentence_its_cameras_and_its_fix(bpy: ModuleType) -> None:
    concerned = [Concerned(f"picture {number}", (number, 0.0, 0.0)) for number in range(9)]
    sentence = "9 pictures are blurred. Leave them out: a field learns the blur as well."
    capture_problems.add("CAPTURE", "blurred", sentence, concerned)
    capture_problems.add("CAPTURE", "few_views", "3 pictures are few.")
    capture_problems.summarize()
    shown = drawn(bpy)
    assert ("label", "2 problems found") in shown
    words = " ".join(text for function, text in shown if function == "label")
    assert sentence in words
    assert "and 3 more" in words
    assert [text for function, text in shown if function == "operator"] == [
        "Check Capture",
        *(f"picture {number}" for number in range(6)),
        "Leave Out",
    ]


def test_the_box_can_be_used_once_there_is_a_capture(bpy: ModuleType) -> None:
    layout = draw(NEURALFIELDS_PT_capture_options, bpy.context)
    assert "Use Box for Capture" not in [call.text for call in layout.calls]
    bpy.ops.neural_fields.add_bounds()
    bpy.context.scene.neural_fields.training.capture = "/somewhere"
    layout = draw(NEURALFIELDS_PT_capture_options, bpy.context)
    assert "Use Box for Capture" in [call.text for call in layout.calls]
