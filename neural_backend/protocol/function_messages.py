# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages about shapes and pictures as functions; all others are in `messages`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class MeshShape:
    """Write the surface of any shape as triangles. Answered by `Progress`, then `MeshReady`."""

    type: ClassVar[str] = "mesh_shape"
    job_id: str = "job"
    shape: Annotated[
        str, ".json that describes a solid, mesh file, or run folder of learned shapes (run#name)"
    ]
    output: Annotated[str, ".ply, .obj or .glb to write"]
    resolution: Annotated[int, "grid cells along the longest side of the bounds"] = 256
    level: Annotated[float, "how far outwards the surface is moved, in scene units"] = 0.0
    crop_min: Annotated[tuple[float, ...], "lower corner of a crop box, three numbers or none"] = ()
    crop_max: Annotated[tuple[float, ...], "upper corner of a crop box, three numbers or none"] = ()
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class TraceShape:
    """Draw any shape without triangles, by sphere tracing. Answered by `ViewsReady`."""

    type: ClassVar[str] = "trace_shape"
    job_id: str = "job"
    shape: Annotated[
        str, ".json that describes a solid, mesh file, or run folder of learned shapes (run#name)"
    ]
    output: Annotated[str, "folder for the pictures"]
    cameras: Annotated[
        str, "transforms.json with one frame a view; '' takes one view of all of it"
    ] = ""
    width: Annotated[int, "pixels along both sides of a view without cameras"] = 400
    depth: Annotated[bool, "also write z-depth in scene units, as EXR"] = False
    normals: Annotated[bool, "also write world-space normals, as EXR"] = False
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class FitImage:
    """Learn a picture as a function, and draw it anew. Answered by `ImageFitted`."""

    type: ClassVar[str] = "fit_image"
    job_id: str = "job"
    image: Annotated[str, "picture to learn"]
    output: Annotated[str, ".png to write"]
    width: Annotated[int, "pixels across of the new picture; 0 for as many as the old one has"] = 0
    encoding: Annotated[
        str, "what the network is told of a point: none, basic, positional or gaussian"
    ] = "gaussian"
    scale: Annotated[float, "fineness of positional and gaussian: periods per longer side"] = 10.0
    steps: Annotated[int, "optimisation steps; 0 takes the standard number"] = 0
    seed: Annotated[int, "seed of every random choice"] = 0
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ImageFitted:
    """A picture was learned and drawn; `psnr` compares it with the old one at its resolution."""

    type: ClassVar[str] = "image_fitted"
    job_id: str
    output: str
    width: int
    height: int
    psnr: float
    seconds: float
