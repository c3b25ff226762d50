# SPDX-License-Identifier: GPL-3.0-or-later
"""COLMAP sparse models, text and binary, in and out.

The world is kept as COLMAP solved it; only the cameras' axes are turned to Blender's. COLMAP's
pixel centers are at (0.5, 0.5) as ours are.

Source: COLMAP documentation, "Output Format" and src/colmap/sensor/models.h.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Intrinsics
from ..protocol.errors import JobError
from .assembly import Findings
from .capture import View
from .picture_files import IMAGE_FOLDERS, PictureFinder, clean_name
from .poses import OPENCV_TO_BLENDER, quaternion_to_rotation, read_pose, rotation_to_quaternion
from .transforms_json import FISHEYE_KEYS, PERSPECTIVE_KEYS, check_lens, trimmed

MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "0", ".")


@dataclass(frozen=True)
class _CameraModel:
    """`parameters` are named in COLMAP's order: f or fx fy, cx cy, then distortion coefficients."""

    number: int
    parameters: tuple[str, ...]
    is_fisheye: bool = False


_MODELS = {
    "SIMPLE_PINHOLE": _CameraModel(0, ("f", "cx", "cy")),
    "PINHOLE": _CameraModel(1, ("fx", "fy", "cx", "cy")),
    "SIMPLE_RADIAL": _CameraModel(2, ("f", "cx", "cy", "k1")),
    "RADIAL": _CameraModel(3, ("f", "cx", "cy", "k1", "k2")),
    "OPENCV": _CameraModel(4, ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
    "OPENCV_FISHEYE": _CameraModel(5, ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"), True),
    "FULL_OPENCV": _CameraModel(
        6, ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    ),
    "SIMPLE_RADIAL_FISHEYE": _CameraModel(8, ("f", "cx", "cy", "k1"), True),
    "RADIAL_FISHEYE": _CameraModel(9, ("f", "cx", "cy", "k1", "k2"), True),
}
_OTHER_MODELS = {7: "FOV", 10: "THIN_PRISM_FISHEYE", 11: "RAD_TAN_THIN_PRISM_FISHEYE"}


def find_model(folder: Path) -> Path | None:
    """The folder of a sparse model in or below a capture's folder, None where there is none."""
    for name in MODEL_FOLDERS:
        for extension in (".bin", ".txt"):
            if (folder / name / f"images{extension}").is_file():
                return folder / name
    return None


def read_colmap(model: Path, source: Path) -> Findings:
    """What a sparse model says; its pictures are looked for in the folders above it.

    Raises:
        JobError: where a file is missing, damaged, or of a camera model that is not supported.
    """
    is_binary = (model / "images.bin").is_file()
    extension = ".bin" if is_binary else ".txt"
    cameras_file = model / f"cameras{extension}"
    if not cameras_file.is_file():
        raise JobError(f"{cameras_file} is missing.", "Copy the whole COLMAP model.")
    lenses = dict(
        _read_cameras_bin(cameras_file) if is_binary else _read_cameras_text(cameras_file)
    )
    images_file = model / f"images{extension}"
    images = _read_images_bin(images_file) if is_binary else _read_images_text(images_file)
    finder = PictureFinder(*_picture_folders(model, source))
    findings = Findings(source=source, views=[])
    for name, camera, quaternion, translation in images:
        if camera not in lenses:
            raise JobError(
                f"{images_file}: {name} has camera {camera}, which {cameras_file.name} has not.",
                "Export the model from COLMAP again.",
            )
        image = finder.find(name)
        findings.views.append(
            View(
                name=clean_name(name),
                intrinsics=lenses[camera],
                camera_to_world=_camera_to_world(quaternion, translation, images_file, name),
                image=image,
                mask=findings.mask_beside(finder, image),
            )
        )
    findings.views.sort(key=lambda view: view.name)
    findings.points = _read_points(model)
    return findings


def _picture_folders(model: Path, source: Path) -> list[Path]:
    """Where a model's pictures may be: folders of images first, then the folders around them."""
    roots = [source, *(parent for parent in model.resolve().parents[:3])]
    roots = list(dict.fromkeys(root for root in roots if root.is_dir()))
    images = [root / name for root in roots for name in IMAGE_FOLDERS]
    return [folder for folder in images if folder.is_dir()] + roots


def _camera_to_world(
    quaternion: Sequence[float], translation: Sequence[float], file: Path, name: str
) -> NDArray[np.float64]:
    numbers = np.array([*quaternion, *translation])
    if not np.isfinite(numbers).all() or np.linalg.norm(quaternion) < 1e-9:
        raise JobError(
            f"{file}: the camera pose of {name} holds NaN or a rotation of zero.",
            "Remove this image from the model or solve the cameras again.",
        )
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = quaternion_to_rotation(np.asarray(quaternion, dtype=np.float64))
    world_to_camera[:3, 3] = translation
    return read_pose(np.linalg.inv(world_to_camera) @ OPENCV_TO_BLENDER, file, name)[0]


def _lens(
    model_name: str, width: int, height: int, values: Sequence[float], file: Path
) -> Intrinsics:
    model = _MODELS.get(model_name)
    if model is None:
        raise JobError(
            f"{file}: the camera model {model_name} is not supported.",
            "Undistort the pictures first: colmap image_undistorter.",
        )
    if len(values) != len(model.parameters):
        raise JobError(
            f"{file}: a {model_name} camera has {len(model.parameters)} parameters, "
            f"not {len(values)}.",
            "Export the model from COLMAP again.",
        )
    named = dict(zip(model.parameters, values, strict=True))
    keys = FISHEYE_KEYS if model.is_fisheye else PERSPECTIVE_KEYS
    lens = Intrinsics(
        width=width,
        height=height,
        focal_x_px=named.get("fx", named.get("f", 0.0)),
        focal_y_px=named.get("fy", named.get("f", 0.0)),
        center_x_px=named["cx"],
        center_y_px=named["cy"],
        model="OPENCV_FISHEYE" if model.is_fisheye else "OPENCV",
        distortion=trimmed([named.get(key, 0.0) for key in keys]),
    )
    check_lens(lens, file, f"a {model_name} camera")
    if width < 1 or height < 1:
        raise JobError(f"{file}: a camera is {width} × {height} pixels large.", "Correct the file.")
    return lens


class _Reader:
    """Takes values off the front of a binary file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.content = file.read_bytes()
        self.position = 0

    def take(self, layout: str) -> tuple:
        try:
            values = struct.unpack_from("<" + layout, self.content, self.position)
        except struct.error:
            raise self.damaged() from None
        self.position += struct.calcsize("<" + layout)
        return values

    def count(self, least_size: int) -> int:
        """A number of records, of which at least this many bytes each must follow."""
        (number,) = self.take("Q")
        if number * least_size > len(self.content) - self.position:
            raise self.damaged()
        return number

    def skip(self, size: int) -> None:
        if size > len(self.content) - self.position:
            raise self.damaged()
        self.position += size

    def text(self) -> str:
        end = self.content.find(b"\0", self.position)
        if end < 0:
            raise self.damaged()
        raw, self.position = self.content[self.position : end], end + 1
        return raw.decode("utf-8", errors="replace")

    def damaged(self) -> JobError:
        return JobError(
            f"{self.file} is damaged or incomplete ({len(self.content)} bytes).",
            "Copy the file again, or export the model from COLMAP again.",
        )


def _read_cameras_bin(file: Path) -> Iterator[tuple[int, Intrinsics]]:
    names = {model.number: name for name, model in _MODELS.items()} | _OTHER_MODELS
    reader = _Reader(file)
    for _ in range(reader.count(24)):
        camera, number, width, height = reader.take("IiQQ")
        name = names.get(number, f"number {number}")
        num_values = len(_MODELS[name].parameters) if name in _MODELS else 0
        yield camera, _lens(name, width, height, reader.take(f"{num_values}d"), file)


def _read_images_bin(file: Path) -> Iterator[tuple[str, int, tuple, tuple]]:
    reader = _Reader(file)
    for _ in range(reader.count(73)):
        _, *pose, camera = reader.take("I7dI")
        name = reader.text()
        reader.skip(reader.count(24) * 24)
        yield name, camera, tuple(pose[:4]), tuple(pose[4:])


def _read_cameras_text(file: Path) -> Iterator[tuple[int, Intrinsics]]:
    for number, line in _lines(file):
        fields = line.split()
        if not fields:
            continue
        try:
            camera, name, width, height = int(fields[0]), fields[1], int(fields[2]), int(fields[3])
            values = [float(value) for value in fields[4:]]
        except (IndexError, ValueError):
            raise _bad_line(file, number) from None
        yield camera, _lens(name, width, height, values, file)


def _read_images_text(file: Path) -> Iterator[tuple[str, int, tuple, tuple]]:
    lines = _lines(file)
    for number, line in lines:
        if not line.strip():
            continue
        fields = line.strip().split(maxsplit=9)
        try:
            pose = [float(value) for value in fields[1:8]]
            camera, name = int(fields[8]), fields[9]
        except (IndexError, ValueError):
            raise _bad_line(file, number) from None
        yield name, camera, tuple(pose[:4]), tuple(pose[4:])
        # The line of its 2D points, which may be empty.
        next(lines, None)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobError(f"{file} is no UTF-8 text.", "Save it as UTF-8.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            yield number, line


def _bad_line(file: Path, number: int) -> JobError:
    return JobError(
        f"{file}: line {number} is damaged or incomplete.",
        "Copy the file again, or export the model from COLMAP again.",
    )


def _read_points(model: Path) -> NDArray[np.float64] | None:
    """The (num, 3) points of a model that has some."""
    points: list[tuple[float, ...]] = []
    if (model / "points3D.bin").is_file():
        reader = _Reader(model / "points3D.bin")
        for _ in range(reader.count(51)):
            _, x, y, z = reader.take("Q3d")
            reader.skip(11)
            reader.skip(reader.count(8) * 8)
            points.append((x, y, z))
    elif (model / "points3D.txt").is_file():
        for number, line in _lines(model / "points3D.txt"):
            fields = line.split(maxsplit=4)
            if not fields:
                continue
            try:
                points.append((float(fields[1]), float(fields[2]), float(fields[3])))
            except (IndexError, ValueError):
                raise _bad_line(model / "points3D.txt", number) from None
    found = np.array(points, dtype=np.float64).reshape(-1, 3)
    found = found[np.isfinite(found).all(axis=1)]
    return found if len(found) else None


def write_colmap(views: Sequence[View], names: Sequence[str], folder: Path, binary: bool) -> None:
    """Writes cameras and images without points; `names` are the pictures', in their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lenses = list(dict.fromkeys(view.intrinsics for view in views))
    cameras = [(number, *_colmap_lens(lens), lens) for number, lens in enumerate(lenses, start=1)]
    images = []
    for number, (view, name) in enumerate(zip(views, names, strict=True), start=1):
        world_to_camera = np.linalg.inv(view.camera_to_world @ OPENCV_TO_BLENDER)
        pose = (*rotation_to_quaternion(world_to_camera[:3, :3]), *world_to_camera[:3, 3])
        images.append((number, pose, lenses.index(view.intrinsics) + 1, name))
    if binary:
        content = struct.pack("<Q", len(cameras))
        for number, model, values, lens in cameras:
            content += struct.pack(
                f"<IiQQ{len(values)}d",
                number,
                _MODELS[model].number,
                lens.width,
                lens.height,
                *values,
            )
        (folder / "cameras.bin").write_bytes(content)
        content = struct.pack("<Q", len(images))
        for number, pose, camera, name in images:
            content += struct.pack("<I7dI", number, *pose, camera) + name.encode() + b"\0"
            content += struct.pack("<Q", 0)
        (folder / "images.bin").write_bytes(content)
        (folder / "points3D.bin").write_bytes(struct.pack("<Q", 0))
        return
    lines = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    for number, model, values, lens in cameras:
        numbers = " ".join(repr(float(value)) for value in values)
        lines.append(f"{number} {model} {lens.width} {lens.height} {numbers}")
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = [
        "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
        "# POINTS2D[] as (X, Y, POINT3D_ID)",
    ]
    for number, pose, camera, name in images:
        numbers = " ".join(repr(float(value)) for value in pose)
        lines += [f"{number} {numbers} {camera} {name}", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "points3D.txt").write_text(
        "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]\n", encoding="utf-8"
    )


def _colmap_lens(lens: Intrinsics) -> tuple[str, tuple[float, ...]]:
    plain = (lens.focal_x_px, lens.focal_y_px, lens.center_x_px, lens.center_y_px)
    coefficients = lens.distortion
    if lens.model == "OPENCV_FISHEYE":
        return "OPENCV_FISHEYE", (*plain, *_padded(coefficients, 4))
    if not any(coefficients):
        return "PINHOLE", plain
    if not any(coefficients[4:]):
        return "OPENCV", (*plain, *_padded(coefficients, 4))
    return "FULL_OPENCV", (*plain, *_padded(coefficients, 8))


def _padded(coefficients: tuple[float, ...], count: int) -> tuple[float, ...]:
    return (*coefficients, *([0.0] * count))[:count]
