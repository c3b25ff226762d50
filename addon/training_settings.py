# SPDX-License-Identifier: GPL-3.0-or-later
"""Training's settings that only the panel has: methods in plain words, and where previews show."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty

LIVE_PREVIEW_S = 2.0
"""Between two preview pictures in a window, where nothing else is asked for."""

METHODS = (
    ("auto", "Automatic", "Chosen by what was captured, and by this computer"),
    (
        "voxel_grid",
        "Voxel Grid",
        "Objects on a processor: the quickest, and good meshes. Needs pictures without background",
    ),
    (
        "instant_ngp",
        "Hash Grid (Instant NGP)",
        "Objects and whole surroundings, with fine detail; quick on a graphics card",
    ),
    (
        "nerf",
        "NeRF",
        "The classic network: smooth and slow. For comparison, or where memory is scarce",
    ),
    (
        "deformable_ngp",
        "Moving Hash Grid",
        "Things that move or change their form: the quickest for them",
    ),
    ("dnerf", "D-NeRF", "Things that move: the classic network, slow. For comparison"),
    (
        "nerfies",
        "Nerfies",
        "Things that move gently, such as a person holding still: slow. For comparison",
    ),
)
OTHER = ("other", "Other", "A method that was chosen by a script")
PREVIEW_PLACES = (
    ("IMAGE_EDITOR", "Image Editor", "In image editors that show no other image"),
    ("CAMERA", "Camera Background", "Behind the scene in the camera's view"),
)
_NAMES = [name for name, _, _ in METHODS]


def _choice(settings: Any) -> int:
    return _NAMES.index(settings.method) if settings.method in _NAMES else len(METHODS)


def _choose(settings: Any, number: int) -> None:
    if number < len(METHODS):
        settings.method = _NAMES[number]


def label_of(method: str) -> str:
    """A method in plain words, or as it is called itself."""
    return next((label for name, label, _ in METHODS if name == method), method)


class TrainingPanelProperties:
    """Operators name methods as the backend does: `method_choice` only shows `method`."""

    method_choice: EnumProperty(
        name="Method",
        description="How the field is learned",
        items=tuple((*item, number) for number, item in enumerate((*METHODS, OTHER))),
        get=_choice,
        set=_choose,
    )
    use_live_preview: BoolProperty(
        name="Live Preview",
        description=(
            "While it trains, show the field as the scene's camera sees it. Takes at most a tenth "
            "of the time"
        ),
        default=True,
    )
    show_preview_in: EnumProperty(
        name="Show In",
        description="Where the preview is shown besides the panel while it trains",
        items=PREVIEW_PLACES,
        options={"ENUM_FLAG"},
        default=set(),
    )


def is_live(settings: bpy.types.PropertyGroup) -> bool:
    """Whether somebody looks on: scripts without a window are spared the pictures."""
    return not bpy.app.background and bool(settings.use_live_preview)
