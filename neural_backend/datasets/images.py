# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the pictures of a capture: one array of straight-alpha pixels for all views."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..geometry.cameras import Intrinsics
from ..protocol.errors import JobError
from .assembly import named
from .capture import Capture, View
from .picture_files import PICTURE_ERRORS


@dataclass(frozen=True, kw_only=True)
class LoadedViews:
    """Views whose pictures were read, with intrinsics of the pictures as they were loaded.

    `pixels` are the sRGB, straight-alpha pixels of all views, row by row, one view after the
    other: view i owns `pixels[offsets[i] : offsets[i + 1]]`. Where `ignored` is true nothing is
    known; None where all is known.
    """

    views: tuple[View, ...]
    pixels: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    ignored: NDArray[np.bool_] | None = None
    warnings: tuple[str, ...] = ()

    def image(self, index: int) -> NDArray[np.uint8]:
        """The (height, width, 4) picture of a view."""
        lens = self.views[index].intrinsics
        return self.pixels[self.offsets[index] : self.offsets[index + 1]].reshape(
            lens.height, lens.width, 4
        )

    def ignore_mask(self, index: int) -> NDArray[np.bool_] | None:
        """The (height, width) mask of what is to be ignored in a view, None where nothing is."""
        if self.ignored is None:
            return None
        lens = self.views[index].intrinsics
        return self.ignored[self.offsets[index] : self.offsets[index + 1]].reshape(
            lens.height, lens.width
        )


def load_images(
    capture: Capture,
    image_width: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> LoadedViews:
    """Reads the pictures of all views and reduces those wider than `image_width`, if not 0.

    Unreadable pictures are left out and said so in `warnings`. `on_progress` is told how many of
    how many are read; what it raises ends the loading.

    Raises:
        JobError: where no picture can be read.
    """
    if not capture.views:
        raise JobError(
            f"{capture.source}: there are no views to load.", "Choose another split or capture."
        )
    views = [replace(view, intrinsics=reduced_lens(view, image_width)) for view in capture.views]
    sizes = [view.intrinsics.width * view.intrinsics.height for view in views]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    pixels = np.empty((offsets[-1], 4), dtype=np.uint8)
    ignored = np.zeros(offsets[-1], dtype=bool) if capture.mask_role == "ignore" else None

    def load(index: int) -> str:
        view, part = views[index], slice(offsets[index], offsets[index + 1])
        try:
            image, hidden = read_view(view, capture.mask_role == "ignore")
        except PICTURE_ERRORS as error:
            return f"{view.name} ({error})"
        pixels[part] = image.reshape(-1, 4)
        if ignored is not None and hidden is not None:
            ignored[part] = hidden.reshape(-1)
        return ""

    problems = []
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        for done, problem in enumerate(pool.map(load, range(len(views))), start=1):
            problems.append(problem)
            if on_progress is not None:
                on_progress(done, len(views))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    loaded = LoadedViews(
        views=tuple(views),
        pixels=pixels,
        offsets=offsets,
        ignored=ignored if ignored is not None and ignored.any() else None,
    )
    return _without(loaded, problems, capture.source) if any(problems) else loaded


def reduced_lens(view: View, image_width: int) -> Intrinsics:
    """The lens of a view whose picture is reduced to `image_width`, if it is wider than that."""
    lens = view.intrinsics
    if image_width <= 0 or image_width >= lens.width:
        return lens
    return lens.resized(image_width, max(1, round(lens.height * image_width / lens.width)))


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture of any kind as (height, width, 4) straight-alpha sRGB.

    Pixels stay where the file has them: cameras were solved without heeding an EXIF orientation.

    Raises:
        One of `PICTURE_ERRORS` where it is unreadable.
    """
    with Image.open(path) as image:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            gray = np.asarray(image, dtype=np.float32)
            largest = 1.0 if image.mode == "F" else 65535.0
            gray = (gray.clip(0, largest) / largest * 255 + 0.5).astype(np.uint8)
            alpha = np.full_like(gray, 255)
            return np.stack([gray, gray, gray, alpha], axis=-1)
        return np.asarray(image.convert("RGBA"))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask as (height, width) levels: its gray, or its alpha where the gray says nothing."""
    image = read_picture(path)
    gray = image[..., :3].max(axis=-1)
    return np.minimum(gray, image[..., 3])


def reduce_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrinks a straight-alpha picture; each new pixel is the mean of the area that it covers.

    Colors count as much as they are opaque, as in a premultiplied picture.
    """
    if image.shape[:2] == (height, width):
        return image
    opaque = bool((image[..., 3] == 255).all())
    if opaque:
        seen = _area_means(image[..., :3].astype(np.float32), width, height)
        alpha = np.full((height, width, 1), 255.0, dtype=np.float32)
    else:
        weighted = image.astype(np.float32)
        weighted[..., :3] *= weighted[..., 3:] / 255
        means = _area_means(weighted, width, height)
        alpha = means[..., 3:]
        seen = means[..., :3] * (255 / np.maximum(alpha, 1e-3))
    reduced = np.concatenate([seen, alpha], axis=-1)
    return (reduced + 0.5).clip(0, 255).astype(np.uint8)


def read_view(view: View, ignore: bool) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """A view's picture at the size of its lens, and where its mask says to ignore it.

    Without `ignore` the mask is an object's: it makes the rest transparent.
    """
    assert view.image is not None
    image, hidden = read_picture(view.image), None
    if view.mask is not None:
        mask = _fitted_mask(read_mask(view.mask), image.shape[1], image.shape[0])
        if ignore:
            hidden = mask < 128
        else:
            image = image.copy()
            image[..., 3] = (image[..., 3] * mask.astype(np.uint16) + 127) // 255
    width, height = view.intrinsics.width, view.intrinsics.height
    if hidden is not None and hidden.shape != (height, width):
        hidden = _area_means(hidden[..., None].astype(np.float32), width, height)[..., 0] > 1e-3
    return reduce_image(image, width, height), hidden


def _fitted_mask(mask: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BOX))


def _area_means(image: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    old_height, old_width, channels = image.shape
    if old_height % height == 0 and old_width % width == 0:
        down, across = old_height // height, old_width // width
        rows = image.reshape(height, down, old_width, channels).mean(axis=1)
        return rows.reshape(height, width, across, channels).mean(axis=2)
    return _axis_means(_axis_means(image, height, 0), width, 1)


def _axis_means(image: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Means of `size` equal parts along an axis, as differences of its running sum."""
    old_size = image.shape[axis]
    edges = np.linspace(0, old_size, size + 1)
    before = np.minimum(edges.astype(np.int64), old_size - 1)
    share = (
        (edges - before).astype(np.float32).reshape([-1 if one == axis else 1 for one in range(3)])
    )
    total = np.cumsum(image, axis=axis, dtype=np.float64)
    total -= image
    sums = total.take(before, axis=axis) + share * image.take(before, axis=axis)
    return (np.diff(sums, axis=axis) * (size / old_size)).astype(np.float32)


def _without(loaded: LoadedViews, problems: Sequence[str], source: Path) -> LoadedViews:
    kept = [index for index, problem in enumerate(problems) if not problem]
    failed = [problem for problem in problems if problem]
    if not kept:
        raise JobError(
            f"{source}: none of the {len(problems)} pictures can be read: {named(failed)}.",
            "Save them again as PNG or JPEG.",
        )
    parts = [slice(loaded.offsets[index], loaded.offsets[index + 1]) for index in kept]
    return LoadedViews(
        views=tuple(loaded.views[index] for index in kept),
        pixels=np.concatenate([loaded.pixels[part] for part in parts]),
        offsets=np.cumsum([0, *(part.stop - part.start for part in parts)]),
        ignored=None
        if loaded.ignored is None
        else np.concatenate([loaded.ignored[part] for part in parts]),
        warnings=(f"Left out, as the picture cannot be read: {named(failed)}.",),
    )
