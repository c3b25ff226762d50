# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos whose cameras are known, as Blender's cameras with the photos behind the scene."""

import math
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from .cameras import Lens, add_camera, rigid
from .errors import SceneError
from .images import load_image, set_background_still
from .transforms import PosedImage, read_posed_images

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_PICTURE_FOLDERS = ("", "images", "input", "rgb")
_MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "0", "")


def photos_without_cameras(path: Path) -> Path | None:
    """The folder of photos at a path where nothing tells their cameras; None where something does,
    or there are no photos.
    """
    if not path.is_dir() or (path / "poses_bounds.npy").is_file():
        return None
    models = (
        path / folder / f"images{kind}" for folder in _MODEL_FOLDERS for kind in (".bin", ".txt")
    )
    if any(model.is_file() for model in models):
        return None
    for name in _PICTURE_FOLDERS:
        folder = path / name
        if folder.is_dir() and any(one.suffix.lower() in PICTURES for one in folder.iterdir()):
            return folder
    return None


def add_photo_cameras(
    scene: bpy.types.Scene,
    name: str,
    files: Sequence[Path],
    use_images: bool = True,
    use_resolution: bool = True,
) -> list[str]:
    """Adds a collection with a camera for each view of transforms.json files; returns warnings.

    With `use_resolution` the scene renders at the pictures' size, so that a camera sees its photo.

    Raises:
        SceneError: where no camera can be made of the files.
    """
    views = [view for file in files for view in read_posed_images(file)]
    lenses = [(view, lens) for view in views if (lens := _lens_of(view)) is not None]
    if not lenses:
        raise SceneError(
            f"{name} has no usable cameras, or no picture tells their size.",
            "Choose another capture, or put the pictures beside it.",
        )
    collection = bpy.data.collections.new(f"Capture {name}")
    scene.collection.children.link(collection)
    size = 0.3 * _spacing(views)
    for view, lens in lenses:
        camera = add_camera(view.name, lens, rigid(view.camera_to_world))
        camera.data.display_size = size
        collection.objects.link(camera)
        if use_images and view.image is not None:
            set_background_still(camera, view.image)
    if use_resolution:
        lens = lenses[0][1]
        scene.render.resolution_x, scene.render.resolution_y = lens.width, lens.height
        scene.render.resolution_percentage = 100
        scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    if scene.camera is None:
        scene.camera = collection.objects[0]
    return _warnings(views, [lens for _, lens in lenses])


def _warnings(views: list[PosedImage], lenses: list[Lens]) -> list[str]:
    warnings = []
    missing = len(views) - sum(view.image is not None for view in views)
    if missing:
        warnings.append(f"{missing} of {len(views)} cameras have no picture.")
    if any(abs(lens.focal_y_px / lens.focal_x_px - 1) > 0.005 for lens in lenses):
        warnings.append("The pictures' pixels are not square; those of Blender's cameras are.")
    if any(view.is_distorted for view in views):
        warnings.append("Blender's cameras do not show the lens distortion; training heeds it.")
    if len({(lens.width, lens.height) for lens in lenses}) > 1:
        warnings.append("The pictures differ in size; the first one's was set for rendering.")
    return warnings


def _lens_of(view: PosedImage) -> Lens | None:
    """The view's lens; a file with an angle of view alone leaves the size to its picture."""
    if view.lens is not None or view.image is None or not view.field_of_view:
        return view.lens
    image = load_image(view.image)
    width, height = image.size
    if image.users == 0:
        bpy.data.images.remove(image)
    if not width or not height:
        return None
    focal = width / (2 * math.tan(view.field_of_view / 2))
    return Lens(width, height, focal, focal, width / 2, height / 2)


def _spacing(views: list[PosedImage]) -> float:
    """Roughly how far apart neighbouring cameras are, to draw them in a fitting size."""
    positions = np.array([view.camera_to_world[:3, 3] for view in views])
    extent = float(np.linalg.norm(positions.max(axis=0) - positions.min(axis=0)))
    return max(extent, 0.1) / max(len(views), 2) ** 0.5
