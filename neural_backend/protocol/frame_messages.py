# SPDX-License-Identifier: GPL-3.0-or-later
"""Single pictures for somebody who waits for them, and the memory that makes them quick."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class RenderFrame:
    """Render one view of a trained field to raw numbers, for a viewport or a render engine.

    The field stays in memory for the next one. Answered by `Progress`, then `FrameReady`.
    """

    type: ClassVar[str] = "render_frame"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    output: Annotated[str, ".npy to write: rows from the top, of float32 R G B A and z-depth"]
    camera_to_world: Annotated[
        tuple[float, ...], "rows of the camera's rigid 4x4 matrix in the field's space"
    ]
    width: Annotated[int, "pixels of the whole picture"]
    height: Annotated[int, "pixels of the whole picture"]
    focal_x_px: Annotated[float, "focal length in pixels, across"]
    focal_y_px: Annotated[float, "focal length in pixels, down"]
    center_x_px: Annotated[float, "column of the principal point"]
    center_y_px: Annotated[float, "row of the principal point"]
    region: Annotated[
        tuple[int, ...],
        "left, top, right and bottom pixel of the part to render, the last two excluded; none "
        "renders all",
    ] = ()
    reduction: Annotated[int, "renders a picture that many times smaller each way"] = 1
    samples: Annotated[int, "rays a pixel each way: 2 smooths edges with 4 rays a pixel"] = 1
    time: Annotated[float, "moment of a moving field: from 0, the capture's first, to 1"] = 0.0
    linear: Annotated[bool, "light as Blender's render passes hold it, instead of sRGB"] = True
    background: Annotated[
        tuple[float, ...], "color behind the field, in the numbers of the output; none is clear"
    ] = ()
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Release:
    """Free the memory of the fields that are kept for the next job. Answered by `Released`."""

    type: ClassVar[str] = "release"
    job_id: str = "release"


@dataclass(frozen=True, kw_only=True)
class FrameReady:
    """A view was rendered: `output` holds (height, width, 5) numbers.

    Colors are premultiplied. Depth is 1e10 where nothing is seen. `seconds` are those of the
    rendering, without loading the field.
    """

    type: ClassVar[str] = "frame_ready"
    job_id: str
    output: str
    width: int
    height: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Released:
    """Memory was given back; `num_fields` were kept until now."""

    type: ClassVar[str] = "released"
    job_id: str
    num_fields: int
