# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the add-on, the command line and the worker say to each other.

Jobs and commands go to the worker, events come back. Each message is a frozen dataclass of plain
JSON values; bulk data goes through files. The `Annotated` texts serve `--help`, docs/PROTOCOL.md
and the add-on's tooltips: one place to edit.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias, get_args

from .capture_messages import (
    CaptureChecked,
    CheckCapture,
    ExtractFrames,
    FramesExtracted,
    SelectViews,
    SolveCameras,
)
from .frame_messages import FrameReady, Release, Released, RenderFrame
from .function_messages import FitImage, ImageFitted, MeshShape, TraceShape
from .motion_messages import BakeMotion, ExtractMeshSequence, MeshSequenceReady, MotionBaked
from .shape_messages import FitLatent, FitShape, LatentFitted, ShapesFitted
from .volume_messages import ExtractVolume, VolumeReady

VERSION = 1
"""Changed whenever a message changes in a way that an older reader would misunderstand."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Learn a field from a capture. Answered by `Progress`, then `Trained`."""

    type: ClassVar[str] = "train"
    job_id: str = "job"
    capture: Annotated[str, "folder or file: transforms.json, COLMAP model, LLFF poses_bounds.npy"]
    run: Annotated[str, "run folder to write: checkpoints, metrics and outputs"]
    method: Annotated[
        str, "auto, voxel_grid, instant_ngp, nerf, dnerf, nerfies or deformable_ngp"
    ] = "auto"
    preset: Annotated[str, "quality: draft, standard or final"] = "standard"
    surfaces: Annotated[
        bool, "learn surfaces rather than fog: meshes are truer, views a little worse"
    ] = False
    device: Annotated[str, "auto, cpu or cuda"] = "auto"
    steps: Annotated[int, "optimisation steps; 0 takes the preset's"] = 0
    seconds: Annotated[float, "training budget in seconds; 0 counts steps instead"] = 0.0
    seed: Annotated[int, "seed of every random choice"] = 0
    image_width: Annotated[int, "pixels; larger images are reduced to this width; 0 keeps them"] = 0
    hold_out: Annotated[int, "every Nth view is held out where the capture has no test split"] = 8
    resume: Annotated[bool, "go on from the run folder's last checkpoint"] = False
    checkpoint_seconds: Annotated[float, "seconds between checkpoints"] = 30.0
    preview_seconds: Annotated[float, "seconds between preview pictures; 0 for none"] = 0.0
    preview_camera: Annotated[
        str,
        "transforms.json whose first camera the previews are seen through, read before each; '' "
        "takes a held-out camera",
    ] = ""
    evaluations: Annotated[int, "times that the held-out PSNR is measured on the way"] = 0
    settings: Annotated[
        tuple[str, ...], "changes to the method's configuration, as name=value"
    ] = ()


@dataclass(frozen=True, kw_only=True)
class RenderViews:
    """Render a trained field through cameras. Answered by `Progress`, then `ViewsReady`."""

    type: ClassVar[str] = "render_views"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    cameras: Annotated[
        str, "transforms.json with one frame a view; '' takes the held-out cameras"
    ] = ""
    output: Annotated[str, "folder for the pictures; '' for outputs/views in the run folder"] = ""
    format: Annotated[str, "png or exr"] = "png"
    bits: Annotated[int, "bits a channel of PNG: 8 or 16"] = 8
    depth: Annotated[bool, "also write z-depth in scene units, as EXR"] = False
    normals: Annotated[bool, "also write world-space normals, as EXR"] = False
    background: Annotated[str, "transparent, white, black or learned"] = "transparent"
    video: Annotated[bool, "also write an .mp4 of the views"] = False
    fps: Annotated[float, "frames a second of the .mp4"] = 24.0
    overwrite: Annotated[bool, "render frames again that are there, by the same camera"] = False
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ExtractMesh:
    """Write the surface of a trained field. Answered by `Progress`, then `MeshReady`."""

    type: ClassVar[str] = "extract_mesh"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    output: Annotated[
        str, ".ply, .obj or .glb to write; '' for outputs/mesh.ply in the run folder"
    ] = ""
    resolution: Annotated[int, "grid cells along the longest side of the bounds"] = 256
    surface: Annotated[
        str,
        "depth: where the training's cameras see rays end, smooth; density: where density "
        "reaches a level; auto: depth, unless a level is given or there are few cameras",
    ] = "auto"
    level: Annotated[
        float, "density of the surface, per scene unit, 0 chooses it; of shapes: how far outwards"
    ] = 0.0
    crop_min: Annotated[tuple[float, ...], "lower corner of a crop box, three numbers or none"] = ()
    crop_max: Annotated[tuple[float, ...], "upper corner of a crop box, three numbers or none"] = ()
    keep_components: Annotated[
        float, "floaters smaller than this share of the largest part are removed"
    ] = 0.02
    keep_unseen: Annotated[
        bool, "keep surfaces that no training camera can see, as within solids"
    ] = False
    colors: Annotated[bool, "colour the vertices"] = True
    keep_faces: Annotated[
        float, "share of the faces to keep; 1 keeps all, above 1 it is a number of faces"
    ] = 1.0
    texture_size: Annotated[
        int, "pixels of a square texture with the colours, written beside the mesh; 0 for none"
    ] = 0
    time: Annotated[float, "moment of a moving field: from 0, the capture's first, to 1"] = 0.0
    shape: Annotated[str, "of a family: name or number of the shape; '' for the first"] = ""
    blend_to: Annotated[str, "of a family: name or number of a second shape"] = ""
    blend: Annotated[float, "how far from `shape` to `blend_to`: 0 to 1, or beyond"] = 0.0
    axes: Annotated[
        tuple[float, ...], "of a family: steps along its principal axes, in standard deviations"
    ] = ()
    elements: Annotated[
        str, "elements.json whose Gaussians were moved by hand; '' for those that were learned"
    ] = ""
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare rendered views with held-out pictures. Answered by `Progress`, then `Evaluated`."""

    type: ClassVar[str] = "evaluate"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    split: Annotated[str, "test, val or train"] = "test"
    output: Annotated[
        str, "folder for pictures and figures; '' for outputs/evaluation in the run folder"
    ] = ""
    images: Annotated[bool, "write the rendered and error pictures"] = True
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Describe a capture, a run or a mesh. Answered by `Inspected`."""

    type: ClassVar[str] = "inspect"
    job_id: str = "job"
    path: Annotated[str, "capture or run folder, or mesh file"]


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Write a capture in another dialect. Answered by `Converted`."""

    type: ClassVar[str] = "convert"
    job_id: str = "job"
    capture: Annotated[str, "capture to read"]
    output: Annotated[str, "folder to write; must be empty or absent"]
    dialect: Annotated[
        str, "nerf_synthetic, instant_ngp, nerfstudio, colmap_text, colmap_binary or llff"
    ] = "nerfstudio"


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Stop a job; what it has learned so far is kept. Answered by `JobCancelled`."""

    type: ClassVar[str] = "cancel"
    job_id: str


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """End the worker after the running job; jobs that wait are cancelled."""

    type: ClassVar[str] = "shutdown"


@dataclass(frozen=True, kw_only=True)
class WorkerReady:
    """First line a worker writes: what it is and what it can do."""

    type: ClassVar[str] = "worker_ready"
    backend_version: str
    python: str
    torch: str
    devices: tuple[str, ...]
    methods: tuple[str, ...]
    shape_methods: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is. `done` of `total` in `unit`; `eta_s` is -1 while unknown."""

    type: ClassVar[str] = "progress"
    job_id: str
    stage: Annotated[str, "what the job is doing, in words for a progress bar"]
    done: float
    total: float
    unit: str = "steps"
    seconds: float = 0.0
    eta_s: float = -1.0
    loss: float | None = None
    step: Annotated[int, "optimisation steps so far, in whatever `unit` counts"] = 0
    psnr: Annotated[float | None, "decibels on held-out views, when measured"] = None
    preview: Annotated[str, "path of a new preview picture, or ''"] = ""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something the user should know that does not stop the job."""

    type: ClassVar[str] = "warned"
    job_id: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A field was learned and saved."""

    type: ClassVar[str] = "trained"
    job_id: str
    run: str
    method: str
    steps: int
    seconds: float
    psnr: float | None = None


@dataclass(frozen=True, kw_only=True)
class ViewsReady:
    """Views were written: `files` in the order of the cameras, `frames` their timeline frames."""

    type: ClassVar[str] = "views_ready"
    job_id: str
    output: str
    files: tuple[str, ...]
    frames: tuple[int, ...]
    video: str = ""


@dataclass(frozen=True, kw_only=True)
class MeshReady:
    """A mesh was written, and a `texture` if asked for; `level` is 0 where fused from depths."""

    type: ClassVar[str] = "mesh_ready"
    job_id: str
    output: str
    num_vertices: int
    num_faces: int
    level: float
    texture: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Held-out views were compared; `lpips` is -1 where its weights are not installed."""

    type: ClassVar[str] = "evaluated"
    job_id: str
    output: str
    num_views: int
    psnr: float
    ssim: float
    lpips: float = -1.0


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """A description, a line an item."""

    type: ClassVar[str] = "inspected"
    job_id: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A capture was written: in another dialect, with other bounds, or with its cameras solved."""

    type: ClassVar[str] = "converted"
    job_id: str
    output: str
    num_views: int


@dataclass(frozen=True, kw_only=True)
class JobFailed:
    """A job ended without a result: what happened and what to do."""

    type: ClassVar[str] = "job_failed"
    job_id: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class JobCancelled:
    """A job was stopped on request; `run` holds what it had learned, if anything."""

    type: ClassVar[str] = "job_cancelled"
    job_id: str
    run: str = ""


Job: TypeAlias = (
    Train
    | RenderViews
    | RenderFrame
    | ExtractMesh
    | ExtractMeshSequence
    | BakeMotion
    | Evaluate
    | Inspect
    | Convert
    | CheckCapture
    | SelectViews
    | SolveCameras
    | ExtractFrames
    | ExtractVolume
    | FitShape
    | FitLatent
    | MeshShape
    | TraceShape
    | FitImage
)
Command: TypeAlias = Cancel | Release | Shutdown
Event: TypeAlias = (
    WorkerReady
    | Progress
    | Warned
    | Trained
    | ViewsReady
    | FrameReady
    | MeshReady
    | MeshSequenceReady
    | MotionBaked
    | Evaluated
    | Inspected
    | Converted
    | Released
    | CaptureChecked
    | FramesExtracted
    | VolumeReady
    | ShapesFitted
    | LatentFitted
    | ImageFitted
    | JobFailed
    | JobCancelled
)
Message: TypeAlias = Job | Command | Event

JOBS: tuple[type[Job], ...] = get_args(Job)
COMMANDS: tuple[type[Command], ...] = (Cancel, Release, Shutdown)
EVENTS: tuple[type[Event], ...] = get_args(Event)
FINAL_EVENTS: tuple[type[Event], ...] = tuple(
    kind for kind in EVENTS if kind not in (WorkerReady, Progress, Warned)
)
"""After one of these nothing more is said about its job."""
