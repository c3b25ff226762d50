# SPDX-License-Identifier: GPL-3.0-or-later
"""How much work the demo does: the full one, and the draft that the tests run."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Sizes in pixels, times in seconds. The training has a budget in seconds, or else in steps."""

    cameras: int
    capture_px: int
    view_px: int
    samples: int
    still_samples: int
    frames: int
    preset: str
    seconds: float
    steps: int
    evaluations: int
    mesh_resolution: int
    sheet_px: int
    sheet_samples: int
    photo_width: int


FULL = Quality(
    cameras=100,
    capture_px=256,
    view_px=400,
    samples=16,
    still_samples=48,
    frames=72,
    preset="standard",
    seconds=90.0,
    steps=0,
    evaluations=15,
    mesh_resolution=256,
    sheet_px=400,
    sheet_samples=16,
    photo_width=240,
)
DRAFT = Quality(
    cameras=24,
    capture_px=96,
    view_px=128,
    samples=4,
    still_samples=8,
    frames=6,
    preset="draft",
    seconds=0.0,
    steps=60,
    evaluations=3,
    mesh_resolution=80,
    sheet_px=200,
    sheet_samples=4,
    photo_width=90,
)

# Of a scene that moves, each of a few cameras takes every frame.
MOVING = replace(
    FULL, cameras=8, capture_px=176, samples=12, frames=36, seconds=240.0, mesh_resolution=112
)
MOVING_DRAFT = replace(
    DRAFT, cameras=4, capture_px=80, frames=12, seconds=30.0, steps=0, mesh_resolution=48
)


@dataclass(frozen=True, kw_only=True)
class ShapeQuality:
    """The same for the demo of shapes."""

    meshes: int
    frames: int
    preset: str
    seconds: float
    steps: int
    resolution: int
    sheet_px: int
    sheet_samples: int


SHAPES = ShapeQuality(
    meshes=12,
    frames=48,
    preset="standard",
    seconds=180.0,
    steps=0,
    resolution=128,
    sheet_px=400,
    sheet_samples=16,
)
SHAPES_DRAFT = ShapeQuality(
    meshes=4,
    frames=5,
    preset="draft",
    seconds=0.0,
    steps=250,
    resolution=40,
    sheet_px=160,
    sheet_samples=4,
)
