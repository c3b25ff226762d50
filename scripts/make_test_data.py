# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes small captures with exact cameras, ray-traced in numpy.

`python scripts/make_test_data.py FOLDER`. The glossy scene has a checkered box, a striped ball and
two shiny balls on a slab, lit by one lamp and by colored lights all around that show only in
reflections: what it looks like depends on where it is seen from.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

FIELD_OF_VIEW = 0.69
"""Radians across the image, that of NeRF's synthetic scenes."""
CAMERA_DISTANCE = 3.9
LAMP = np.array([0.45, 0.35, 0.82])
SKY_TILT = np.array([[1.0, 0.0, 0.0], [-0.5, 0.87, 0.0], [-0.5, -0.87, 0.0]])
"""Where the surroundings are reddest, greenest and bluest; they are mirrored, but cast no light."""
LIGHT_DIRECTIONS = np.array([[0.8, 0.1, 0.6], [-0.5, 0.7, 0.5], [-0.4, -0.8, 0.45]])
LIGHT_COLORS = np.array([[1.0, 0.8, 0.6], [0.7, 0.9, 0.8], [0.8, 0.8, 1.0]])
LIGHT_SHARPNESS = 14.0


@dataclass(frozen=True)
class Ball:
    """A sphere with two colors in stripes around its axis, and a share of mirrored light."""

    center: tuple[float, float, float]
    radius: float
    colors: tuple[tuple[float, float, float], tuple[float, float, float]]
    stripes: float
    gloss: float


@dataclass(frozen=True)
class Block:
    """A box with two colors in checkers, and a share of mirrored light."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    colors: tuple[tuple[float, float, float], tuple[float, float, float]]
    checker: float
    gloss: float


GLOSSY_SCENE: tuple[Ball | Block, ...] = (
    Block((-1.0, -1.0, -0.62), (1.0, 1.0, -0.35), ((0.6, 0.5, 0.4), (0.1, 0.1, 0.2)), 0.5, 0.85),
    Ball((-0.2, 0.2, 0.2), 0.55, ((0.9, 0.8, 0.2), (0.1, 0.2, 0.5)), 3.0, 0.85),
    Ball((0.55, -0.55, -0.05), 0.3, ((0.5, 0.1, 0.12), (0.5, 0.1, 0.12)), 0.0, 0.9),
)
GLOSSY_BOUNDS = ((-1.05, -1.05, -0.65), (1.05, 1.05, 0.8))
"""A box around everything in it."""


def make_glossy_scene(folder: Path, size: int = 72, num_views: int = 50) -> Path:
    """Writes a capture of the glossy scene in the NeRF-synthetic dialect.

    Every fifth view is for testing. `size` is the side of the images in pixels; they have straight
    alpha. Returns `folder`.
    """
    test = np.arange(num_views) % 5 == 2
    poses = camera_poses(num_views)
    for split, chosen in (("train", ~test), ("test", test)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        frames = []
        for number, pose in enumerate(poses[chosen]):
            name = f"./{split}/r_{number}"
            rgba = render(GLOSSY_SCENE, pose, size)
            Image.fromarray(np.round(255 * rgba).astype(np.uint8)).save(folder / f"{name}.png")
            frames.append({"file_path": name, "transform_matrix": pose.tolist()})
        transforms = {"camera_angle_x": FIELD_OF_VIEW, "frames": frames}
        text = json.dumps(transforms, indent=1) + "\n"
        (folder / f"transforms_{split}.json").write_text(text, encoding="utf-8")
    return folder


def camera_poses(count: int) -> Array:
    """Camera-to-world matrices (count, 4, 4) around and above the origin, looking at it."""
    turns = np.arange(count) * np.pi * (3 - np.sqrt(5))
    heights = np.linspace(0.05, 0.9, count)
    across = np.sqrt(1 - heights**2)
    backward = np.stack([across * np.cos(turns), across * np.sin(turns), heights], axis=-1)
    right = _unit(np.cross([0.0, 0.0, 1.0], backward))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(backward, right), backward], axis=-1)
    poses[:, :3, 3] = CAMERA_DISTANCE * backward
    return poses


def render(
    scene: tuple[Ball | Block, ...], pose: Array, size: int, supersampling: int = 3
) -> Array:
    """The (size, size, 4) picture from a camera, straight alpha, pixels averaged."""
    side = size * supersampling
    focal_px = side / 2 / np.tan(FIELD_OF_VIEW / 2)
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    seen = np.stack(
        [(x - side / 2) / focal_px, (side / 2 - y) / focal_px, -np.ones_like(x)], axis=-1
    )
    directions = _unit(seen.reshape(-1, 3) @ pose[:3, :3].T)
    rgb, hit = shade(scene, np.broadcast_to(pose[:3, 3], directions.shape), directions)
    premultiplied = np.concatenate([rgb * hit[:, None], hit[:, None]], axis=-1)
    blocks = premultiplied.reshape(size, supersampling, size, supersampling, 4).mean(axis=(1, 3))
    alpha = blocks[..., 3:]
    return np.concatenate([blocks[..., :3] / np.maximum(alpha, 1e-9), alpha], axis=-1).clip(0, 1)


def shade(
    scene: tuple[Ball | Block, ...], origins: Array, directions: Array
) -> tuple[Array, Array]:
    """The color that rays see, in [0, 1], and whether (1 or 0) they hit anything."""
    t, normals, albedo, gloss = intersect(scene, origins, directions)
    hit = np.isfinite(t)
    points = origins + np.where(hit, t, 0)[:, None] * directions
    lamp = _unit(LAMP)
    blocked = np.isfinite(
        intersect(scene, points + 1e-4 * normals, np.broadcast_to(lamp, points.shape))[0]
    )
    diffuse = np.maximum(normals @ lamp, 0) * np.where(blocked, 0.35, 1.0)
    mirrored = directions - 2 * (directions * normals).sum(axis=-1, keepdims=True) * normals
    cosines = np.maximum(mirrored @ _unit(LIGHT_DIRECTIONS).T, 0)
    reflected = 0.5 + 0.5 * mirrored @ SKY_TILT.T + cosines**LIGHT_SHARPNESS @ LIGHT_COLORS
    matte = albedo * (0.35 + 0.65 * diffuse)[:, None]
    rgb = matte * (1 - gloss)[:, None] + reflected * gloss[:, None]
    return rgb.clip(0, 1), hit.astype(float)


def intersect(
    scene: tuple[Ball | Block, ...], origins: Array, directions: Array
) -> tuple[Array, Array, Array, Array]:
    """The nearest hit of each ray: distance (infinite for none), normal, albedo and gloss there."""
    nearest = np.full(len(origins), np.inf)
    normals, albedo = np.zeros_like(directions), np.zeros_like(directions)
    gloss = np.zeros(len(origins))
    for thing in scene:
        meet = _meet_ball if isinstance(thing, Ball) else _meet_block
        t = meet(thing, origins, directions)
        nearer = t < nearest
        points = origins[nearer] + t[nearer, None] * directions[nearer]
        surface = _ball_surface if isinstance(thing, Ball) else _block_surface
        normals[nearer], second = surface(thing, points)
        albedo[nearer] = np.where(second[:, None], thing.colors[1], thing.colors[0])
        gloss[nearer], nearest[nearer] = thing.gloss, t[nearer]
    return nearest, normals, albedo, gloss


def _meet_ball(ball: Ball, origins: Array, directions: Array) -> Array:
    offset = origins - np.array(ball.center)
    half_b = (offset * directions).sum(axis=-1)
    under_root = half_b**2 - (offset**2).sum(axis=-1) + ball.radius**2
    t = -half_b - np.sqrt(np.maximum(under_root, 0))
    return np.where((under_root > 0) & (t > 1e-6), t, np.inf)


def _ball_surface(ball: Ball, points: Array) -> tuple[Array, NDArray[np.bool_]]:
    normals = (points - np.array(ball.center)) / ball.radius
    return normals, np.sin(ball.stripes * np.pi * (normals[:, 2] + normals[:, 0] / 2)) > 0


def _meet_block(block: Block, origins: Array, directions: Array) -> Array:
    slopes = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    planes = [(np.array(corner) - origins) / slopes for corner in (block.lower, block.upper)]
    near, far = np.minimum(*planes).max(axis=-1), np.maximum(*planes).min(axis=-1)
    return np.where((near < far) & (near > 1e-6), near, np.inf)


def _block_surface(block: Block, points: Array) -> tuple[Array, NDArray[np.bool_]]:
    lower, upper = np.array(block.lower), np.array(block.upper)
    from_center = (points - (lower + upper) / 2) / ((upper - lower) / 2)
    axis = np.abs(from_center).argmax(axis=-1)
    normals = np.zeros_like(points)
    rows = np.arange(len(points))
    normals[rows, axis] = np.sign(from_center[rows, axis])
    # Half a cell inwards, so that rounding on the face itself does not flip the pattern.
    inside = points - normals * block.checker / 2 - lower
    return normals, np.floor(inside / block.checker).sum(axis=-1) % 2 == 0


def _unit(vectors: Array) -> Array:
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=72, help="side of the images, in pixels")
    parser.add_argument("--views", type=int, default=50, help="every fifth is for testing")
    arguments = parser.parse_args()
    print(make_glossy_scene(arguments.folder, arguments.size, arguments.views))


if __name__ == "__main__":
    main()
