# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the pictures that a file of cameras names really are, and what their headers say."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from .capture import MaskRole, View

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8", "input", "rgb")
MASK_FOLDERS = ("masks", "mask")

# An unreadable picture shows itself in many ways; SyntaxError is Pillow's for a broken PNG.
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def clean_name(name: str) -> str:
    """A file's name as every system writes it: forward slashes, no leading './'."""
    return PurePosixPath(name.strip().replace("\\", "/")).as_posix()


class PictureFinder:
    """Finds the files that cameras name, in `folders`; each folder is listed once."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self._listings: dict[Path, dict[str, Path]] = {}

    def find(self, name: str) -> Path | None:
        """The picture that `name` means, with or without its extension, whatever its case.

        Failing that, the picture of the same name in a folder of images: cameras are often
        written on one machine, with its absolute paths, and used on another.
        """
        relative = Path(clean_name(name))
        for folder in self.folders:
            found = self._match(folder / relative)
            if found is not None:
                return found
        for folder in self.folders:
            for elsewhere in ("", *IMAGE_FOLDERS):
                found = self._match(folder / elsewhere / relative.name)
                if found is not None:
                    return found
        return None

    def mask_of(self, image: Path) -> tuple[Path, MaskRole] | None:
        """The mask of an image, in a folder `masks` of the capture.

        One of the image's own name shows an object, as photogrammetry tools write them;
        `IMAGE.JPG.png` is what COLMAP is told to ignore.
        """
        for folder in self.folders:
            for masks in MASK_FOLDERS:
                ignored = self._listing(folder / masks).get(f"{image.name}.png".lower())
                if ignored is not None:
                    return ignored, "ignore"
                found = self._match(folder / masks / image.name)
                if found is not None:
                    return found, "object"
        return None

    def _match(self, path: Path) -> Path | None:
        files = self._listing(path.parent)
        name, stem = path.name.lower(), path.stem.lower()
        candidates = [
            name,
            *(name + one for one in EXTENSIONS),
            *(stem + one for one in EXTENSIONS),
        ]
        return next((files[one] for one in candidates if one in files), None)

    def _listing(self, folder: Path) -> dict[str, Path]:
        if folder not in self._listings:
            try:
                files = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
            except OSError:
                files = {}
            self._listings[folder] = files
        return self._listings[folder]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, sorted by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height from a picture's header, None where it is unreadable."""
    try:
        with Image.open(path) as image:
            return image.size
    except PICTURE_ERRORS:
        return None


def shows_through(path: Path) -> bool:
    """Whether some of a picture is transparent; a channel of alpha alone may be opaque all over."""
    try:
        with Image.open(path) as image:
            if not (
                image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
            ):
                return False
            return int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255
    except PICTURE_ERRORS:
        return False


def any_transparent(views: Sequence[View], tries: int = 3) -> bool:
    """Whether the pictures of these views have an alpha worth the name, judged by a few of them."""
    pictured = [view.image for view in views if view.image is not None]
    return any(shows_through(path) for path in pictured[:: max(1, len(pictured) // tries)][:tries])
