# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a capture, pictures and all, in any dialect."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ..protocol.errors import JobError
from .assembly import named
from .capture import Capture, View
from .colmap import write_colmap
from .images import read_view
from .llff import FILE_NAME, check_llff_lens, write_llff
from .picture_files import PICTURE_ERRORS
from .transforms_writing import write_instant_ngp, write_nerf_synthetic, write_nerfstudio

DIALECTS = ("nerf_synthetic", "instant_ngp", "nerfstudio", "colmap_text", "colmap_binary", "llff")


def write_capture(
    capture: Capture,
    folder: str | Path,
    dialect: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ...]:
    """Copies a capture into an empty or new folder; returns what the dialect cannot hold.

    All is written beside the folder first, so that it holds the whole capture or nothing.
    `on_progress` is told how many of how many pictures are copied; what it raises ends the
    writing.

    Raises:
        JobError: where the folder is not empty or cannot be written, or the dialect cannot hold
        the cameras.
    """
    if dialect not in DIALECTS:
        raise JobError(f"There is no dialect {dialect!r}.", f"Choose one of {', '.join(DIALECTS)}.")
    folder = Path(folder).expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise JobError(f"{folder} is not empty.", "Choose an empty or new folder.")
    pictured = capture.select(lambda view: view.image is not None)
    if not pictured.views:
        raise JobError(f"{capture.source} has no pictures to write.", "Choose another capture.")
    if dialect == "llff":
        for view in pictured.views:
            check_llff_lens(view)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        warnings = _Writer(pictured, staging, dialect).write(on_progress)
        if folder.exists():
            folder.rmdir()
        staging.replace(folder)
    except OSError as error:
        raise _not_written(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return warnings


class _Writer:
    def __init__(self, capture: Capture, folder: Path, dialect: str) -> None:
        self.capture = capture
        self.folder = folder
        self.dialect = dialect
        self.is_synthetic = dialect == "nerf_synthetic"
        self.bakes_masks = self.is_synthetic and capture.mask_role == "object"
        self.warnings: list[str] = []

    def write(self, on_progress: Callable[[int, int], None] | None) -> tuple[str, ...]:
        stems = unique_stems(self.capture.views)
        pictures: dict[str, str] = {}
        masks: dict[str, str] = {}
        unreadable = []
        for done, view in enumerate(self.capture.views, start=1):
            try:
                pictures[view.name] = self.copy_picture(view, stems[view.name])
            except _UnreadablePictureError:
                unreadable.append(view.name)
                continue
            if view.mask is not None and not self.bakes_masks:
                masks[view.name] = self.copy_mask(view.mask, Path(pictures[view.name]))
            if on_progress is not None:
                on_progress(done, len(self.capture.views))
        if unreadable:
            self.warnings.append(f"Left out, as the picture cannot be read: {named(unreadable)}.")
        kept = self.capture.select(lambda view: view.name in pictures)
        if not kept.views:
            raise JobError(
                f"{kept.source}: none of its pictures can be read.", "Save them again as PNG."
            )
        self.write_cameras(kept, pictures, masks)
        return tuple(self.warnings)

    def copy_picture(self, view: View, stem: str) -> str:
        assert view.image is not None
        sub_folder = view.split if self.is_synthetic else "images"
        (self.folder / sub_folder).mkdir(exist_ok=True)
        has_mask = self.bakes_masks and view.mask is not None
        if not has_mask and (not self.is_synthetic or view.image.suffix.lower() == ".png"):
            relative = f"{sub_folder}/{stem}{view.image.suffix}"
            shutil.copyfile(view.image, self.folder / relative)
            return relative
        try:
            image, _ = read_view(view, ignore=not has_mask)
        except PICTURE_ERRORS as error:
            raise _UnreadablePictureError from error
        relative = f"{sub_folder}/{stem}.png"
        picture = Image.fromarray(image)
        if image[..., 3].min() == 255:
            picture = picture.convert("RGB")
        picture.save(self.folder / relative)
        return relative

    def copy_mask(self, mask: Path, picture: Path) -> str:
        (self.folder / "masks").mkdir(exist_ok=True)
        name = picture.stem if self.capture.mask_role == "object" else picture.name
        relative = f"masks/{name}{mask.suffix}"
        shutil.copyfile(mask, self.folder / relative)
        return relative

    def write_cameras(
        self, capture: Capture, pictures: dict[str, str], masks: dict[str, str]
    ) -> None:
        if self.dialect == "nerfstudio":
            write_nerfstudio(capture, self.folder, pictures, masks)
        elif self.dialect == "instant_ngp":
            write_instant_ngp(capture, self.folder, pictures, masks)
        elif self.is_synthetic:
            write_nerf_synthetic(capture, self.folder, pictures, masks)
        else:
            views = sorted(capture.views, key=lambda view: pictures[view.name])
            if self.dialect == "llff":
                write_llff(views, capture.bounds, capture.unbounded, self.folder / FILE_NAME)
            else:
                names = [Path(pictures[view.name]).name for view in views]
                is_binary = self.dialect == "colmap_binary"
                write_colmap(views, names, self.folder / "sparse" / "0", is_binary)
            lost = ["times"] if capture.is_dynamic else []
            if any(view.split != "train" for view in views):
                lost.append("the split into train and test")
            if lost:
                self.warnings.append(f"{self.dialect} does not hold {' and '.join(lost)}.")


class _UnreadablePictureError(Exception):
    """A picture that had to be decoded and could not."""


def unique_stems(views: tuple[View, ...]) -> dict[str, str]:
    """A file name, without extension, for each view: its picture's own where no two are alike."""
    pictures = [view.image or Path(view.name) for view in views]
    stems = [picture.stem for picture in pictures]
    if len({stem.lower() for stem in stems}) < len(stems):
        stems = [f"{picture.parent.name}_{picture.stem}" for picture in pictures]
    if len({stem.lower() for stem in stems}) < len(stems):
        stems = [f"{index:04d}_{picture.stem}" for index, picture in enumerate(pictures)]
    stems = [re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", stem) for stem in stems]
    return {view.name: stem for view, stem in zip(views, stems, strict=True)}


def _not_written(folder: Path, error: OSError) -> JobError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JobError(
            f"The disk is full: {folder} was not written.",
            "Free some space or choose another disk.",
        )
    return JobError(
        f"{folder} was not written: {error.strerror} ({error.filename}).",
        "Choose a folder that you may write to, and check that the pictures are still there.",
    )
