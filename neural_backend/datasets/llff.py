# SPDX-License-Identifier: GPL-3.0-or-later
"""LLFF's poses_bounds.npy, in and out.

A row for each picture in the order of names: a (3, 5) matrix whose columns are the camera's down,
right and backward axes, its position, and (height, width, focal length in pixels); then the
nearest and farthest depth seen.

Source: Mildenhall et al. 2019, "Local Light Field Fusion", README, "Using your own poses".
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Intrinsics
from ..protocol.errors import JobError
from .assembly import Findings
from .capture import View
from .picture_files import IMAGE_FOLDERS, PictureFinder, pictures_in
from .poses import read_pose
from .transforms_json import check_lens

FILE_NAME = "poses_bounds.npy"


def read_llff(file: Path, source: Path) -> Findings:
    """What a poses_bounds.npy and the names of the pictures beside it say.

    Raises:
        JobError: where the file is damaged or the pictures are not as many as the poses.
    """
    rows = _read_rows(file)
    pictures = _pictures_beside(file, len(rows))
    finder = PictureFinder(file.parent)
    findings = Findings(source=source, views=[])
    for row, picture in zip(rows, pictures, strict=True):
        name = picture.relative_to(file.parent).as_posix()
        matrix = row[:15].reshape(3, 5)
        down, right, backward, position, (height, width, focal) = matrix.T
        pose, _ = read_pose(np.stack([right, -down, backward, position], axis=1), file, name)
        if not np.isfinite((height, width)).all() or min(height, width) < 1:
            raise JobError(f"{file}: {name} is {width} × {height} px large.", "Correct the file.")
        lens = Intrinsics(
            width=round(width),
            height=round(height),
            focal_x_px=float(focal),
            focal_y_px=float(focal),
            center_x_px=float(width) / 2,
            center_y_px=float(height) / 2,
        )
        check_lens(lens, file, name)
        findings.views.append(
            View(
                name=name,
                intrinsics=lens,
                camera_to_world=pose,
                image=picture,
                mask=findings.mask_beside(finder, picture),
            )
        )
    depths = rows[:, 15:17]
    usable = np.isfinite(depths).all() and bool((depths[:, 0] > 0).all())
    nearest, farthest = float(depths[:, 0].min()), float(depths[:, 1].max())
    if usable and farthest > nearest:
        findings.depths = (nearest, farthest)
    return findings


def check_llff_lens(view: View) -> None:
    """Raises JobError for a lens that is more than one focal length."""
    lens = view.intrinsics
    focal_px = lens.focal_x_px
    plain = (focal_px, focal_px, lens.width / 2, lens.height / 2)
    numbers = (lens.focal_x_px, lens.focal_y_px, lens.center_x_px, lens.center_y_px)
    if lens.is_distorted or not np.allclose(numbers, plain, rtol=0, atol=0.01):
        raise JobError(
            f"LLFF cannot hold the lens of {view.name}: it knows no distortion, one focal length, "
            "and a center in the middle of the picture.",
            "Choose nerfstudio or colmap_text, or undistort the pictures first.",
        )


def write_llff(
    views: Sequence[View], bounds: NDArray[np.float64], unbounded: bool, file: Path
) -> None:
    """Writes the rows of `views`, whose pictures must be in the order of their names."""
    corners = np.stack(np.meshgrid(*bounds.T, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = []
    for view in views:
        lens = view.intrinsics
        right, up, backward, position = view.camera_to_world[:3].T
        depths = (position - corners) @ backward
        farthest = max(float(depths.max()), 1e-3)
        nearest = max(float(depths.min()), farthest / 1000)
        if unbounded:
            # `estimate_bounds` takes the nearer half of what photos show.
            farthest = 2 * farthest - nearest
        size = np.array([lens.height, lens.width, lens.focal_x_px])
        matrix = np.stack([-up, right, backward, position, size], axis=1)
        rows.append(np.concatenate([matrix.ravel(), [nearest, farthest]]))
    with file.open("wb") as stream:
        np.save(stream, np.array(rows), allow_pickle=False)


def _read_rows(file: Path) -> NDArray[np.float64]:
    try:
        rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise JobError(
            f"{file} is damaged or incomplete: {error}.", "Write or copy the file again."
        ) from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.issubdtype(rows.dtype, np.number):
        raise JobError(
            f"{file} should hold rows of 17 numbers, not {rows.dtype} of shape {rows.shape}.",
            "Write the file again.",
        )
    if not len(rows):
        raise JobError(f"{file} has no cameras.", "Choose a capture whose cameras were solved.")
    return rows.astype(np.float64)


def _pictures_beside(file: Path, count: int) -> list[Path]:
    counts = {}
    for name in (*IMAGE_FOLDERS, "."):
        pictures = pictures_in(file.parent / name)
        if len(pictures) == count:
            return pictures
        counts[name] = len(pictures)
    found = ", ".join(f"{number} in {name}" for name, number in counts.items() if number)
    raise JobError(
        f"{file} has {count} cameras, but beside it are not as many pictures: {found or 'none'}.",
        "Its rows belong to the pictures by order of names: put just those into the folder images.",
    )
