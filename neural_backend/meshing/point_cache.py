# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions of a mesh's vertices over time as .pc2, which Blender's Mesh Cache modifier plays.

All little-endian: the bytes `POINTCACHE2` and a zero byte, int32 version (1), int32 number of
points, float32 frame of the first sample, float32 frames between samples, int32 number of samples;
then the samples in order, each float32 x y z of every point.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<12siiffi")
_MAGIC = b"POINTCACHE2\0"


def write_point_cache(
    path: Path,
    samples: Iterable[NDArray[np.floating]],
    num_points: int,
    num_samples: int,
    first_frame: float,
    step: float,
) -> None:
    """Writes the samples as they come; the file appears when all are there.

    Raises:
        ValueError: where there are fewer or more samples, or other points, than was said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, 1, num_points, first_frame, step, num_samples))
            count = 0
            for sample in samples:
                if sample.shape != (num_points, 3):
                    raise ValueError(f"expected {num_points} points, got {sample.shape}")
                file.write(np.ascontiguousarray(sample, dtype="<f4").tobytes())
                count += 1
            if count != num_samples:
                raise ValueError(f"expected {num_samples} samples, got {count}")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_point_cache(path: Path) -> tuple[NDArray[np.float32], float, float]:
    """The samples (samples, points, 3), the frame of the first and the frames between them.

    Raises:
        ValueError: where the file is no complete point cache.
    """
    data = path.read_bytes()
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise ValueError(f"{path} is no point cache")
    _, _, num_points, first_frame, step, num_samples = _HEADER.unpack_from(data)
    if len(data) != _HEADER.size + 12 * num_points * num_samples:
        raise ValueError(f"{path} is cut off")
    samples = np.frombuffer(data, "<f4", offset=_HEADER.size)
    return samples.reshape(num_samples, num_points, 3), first_frame, step
