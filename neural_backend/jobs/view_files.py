# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures on disk: PNG of 8 and 16 bits, EXR, and a video of them.

Each file is written under another name and then renamed, so that one that is there is whole.
"""

import contextlib
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..geometry.colors import linear_to_srgb, srgb_to_linear

NO_DEPTH = 1e10
"""Depth where nothing is seen, as Blender's own depth pass has it."""

NOTE = "neural_fields_view"
"""Where a picture keeps its note: a text of a PNG, an attribute of an EXR."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, that becomes `path` once the block has succeeded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_png(path: Path, rgba: NDArray[np.floating], bits: int = 8, note: str = "") -> None:
    """Writes (height, width, 4) sRGB with straight alpha, 8 or 16 bits a channel."""
    if bits not in (8, 16):
        raise ValueError(f"expected 8 or 16 bits, got {bits}")
    values = np.round(np.clip(rgba, 0, 1) * (2**bits - 1))
    with whole_file(path) as temporary:
        if bits == 8:
            told = PngInfo()
            if note:
                told.add_text(NOTE, note)
            Image.fromarray(values.astype(np.uint8)).save(temporary, pnginfo=told)
        else:
            temporary.write_bytes(_png_of_16_bits(values.astype(">u2"), note))


def write_exr(path: Path, rgba: NDArray[np.floating], note: str = "") -> None:
    """Writes (height, width, 4) sRGB with straight alpha as EXR has it: linear, premultiplied."""
    linear = srgb_to_linear(rgba[..., :3]) * rgba[..., 3:]
    write_exr_channels(path, {"RGBA": np.concatenate([linear, rgba[..., 3:]], axis=-1)}, note)


def write_exr_channels(
    path: Path, channels: Mapping[str, NDArray[np.floating]], note: str = ""
) -> None:
    """Writes 32-bit channels as they are; one named RGB or RGBA has them on its last axis."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    if note:
        header[NOTE] = note
    values = {
        name: np.ascontiguousarray(channel, dtype=np.float32) for name, channel in channels.items()
    }
    with whole_file(path) as temporary:
        OpenEXR.File(header, values).write(str(temporary))


def write_depth(path: Path, depth: NDArray[np.floating]) -> None:
    """Writes z-depth in scene units as the one channel Y, which Blender reads as a gray picture."""
    write_exr_channels(path, {"Y": np.where(np.isfinite(depth), depth, NO_DEPTH)})


def read_exr(path: Path) -> dict[str, NDArray[np.float32]]:
    """The channels of an EXR file."""
    with OpenEXR.File(str(path)) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) by the header of a PNG or EXR; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        if path.suffix == ".exr":
            with OpenEXR.File(str(path), header_only=True) as file:
                (left, top), (right, bottom) = file.header()["dataWindow"]
            return int(right - left) + 1, int(bottom - top) + 1
        with Image.open(path) as image:
            return image.size
    except (OSError, RuntimeError, SyntaxError, KeyError, ValueError):
        return None


def picture_note(path: Path) -> str:
    """What a PNG or EXR was written with as its note; empty where it has none."""
    try:
        if path.suffix == ".exr":
            with OpenEXR.File(str(path), header_only=True) as file:
                return str(file.header().get(NOTE, ""))
        with Image.open(path) as image:
            return str(image.info.get(NOTE, ""))
    except (OSError, RuntimeError, SyntaxError, ValueError):
        return ""


def write_video(path: Path, pictures: Sequence[Path], fps: float) -> Generator[int, None, None]:
    """Writes an H.264 .mp4 of pictures of one size, over white where they are transparent.

    Yields the number of pictures that are done. The size is padded to even numbers by
    repeating the last row and column, which 4:2:0 chroma asks for.
    """
    first = _for_video(pictures[0])
    height, width = first.shape[:2]
    with whole_file(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (width, height),
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=8,
            macro_block_size=2,
            output_params=["-movflags", "+faststart"],
        )
        with contextlib.closing(writer):
            writer.send(None)
            for done, picture in enumerate(pictures, start=1):
                frame = _for_video(picture)
                if frame.shape != first.shape:
                    raise ValueError(f"expected pictures of {width} × {height}, got {picture.name}")
                writer.send(np.ascontiguousarray(frame))
                yield done


def _for_video(path: Path) -> NDArray[np.uint8]:
    if path.suffix == ".exr":
        linear = read_exr(path)["RGBA"].astype(np.float64)
        alpha = linear[..., 3:]
        rgb = linear_to_srgb(linear[..., :3] / np.maximum(alpha, 1e-6))
    else:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGBA"), dtype=np.float64) / 255
        rgb, alpha = pixels[..., :3], pixels[..., 3:]
    frame = np.round((rgb * alpha + 1 - alpha) * 255).astype(np.uint8)
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _png_of_16_bits(values: NDArray[np.uint16], note: str) -> bytes:
    """Pillow has no picture of four 16-bit channels, so the file is put together here.

    Source: W3C 2003, "Portable Network Graphics", sec. 5 (chunks) and 9 (filter type 2: Up).
    """
    height, width = values.shape[:2]
    rows = values.reshape(height, -1).view(np.uint8)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, dtype=np.uint8), rows - above], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)),
            chunk(b"sRGB", b"\0"),
            *([chunk(b"tEXt", f"{NOTE}\0{note}".encode("latin-1"))] if note else []),
            chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)),
            chunk(b"IEND", b""),
        ]
    )
