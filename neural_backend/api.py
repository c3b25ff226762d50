# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python interface: what the command line does, as functions.

Every function blocks until its job is done, tells `on_event` how far it is, and raises `JobError`,
whose text says what to do, where the job cannot be done. Options mean what they mean on the command
line (`neural-fields train --help`) and in `neural_backend.protocol.messages`.
"""

from collections.abc import Iterable
from pathlib import Path

from .datasets.capture import Capture
from .datasets.loading import load_capture
from .jobs import start
from .jobs.base import OnEvent, answer_of
from .jobs.devices import choose_device
from .jobs.run_folder import RunFolder
from .jobs.trained_method import load_method
from .methods.base import Method
from .protocol.messages import (
    BakeMotion,
    Evaluate,
    Evaluated,
    ExtractMesh,
    ExtractMeshSequence,
    ExtractVolume,
    MeshReady,
    MeshSequenceReady,
    MotionBaked,
    RenderViews,
    Train,
    Trained,
    ViewsReady,
    VolumeReady,
)

__all__ = [
    "bake_motion",
    "evaluate",
    "extract_mesh",
    "extract_mesh_sequence",
    "extract_volume",
    "load_capture",
    "load_run",
    "render_views",
    "train",
]


def train(
    capture: str | Path | Capture,
    run: str | Path,
    *,
    method: str = "auto",
    preset: str = "standard",
    surfaces: bool = False,
    device: str = "auto",
    steps: int = 0,
    seconds: float = 0.0,
    seed: int = 0,
    image_width: int = 0,
    hold_out: int = 8,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    preview_seconds: float = 0.0,
    preview_camera: str = "",
    evaluations: int = 0,
    settings: Iterable[str] = (),
    on_event: OnEvent | None = None,
) -> Trained:
    """Learns a field from a capture, or from the path of one, into the folder `run`."""
    given = capture if isinstance(capture, Capture) else None
    job = Train(
        capture=str(given.source if given else capture),
        run=str(run),
        method=method,
        preset=preset,
        surfaces=surfaces,
        device=device,
        steps=steps,
        seconds=seconds,
        seed=seed,
        image_width=image_width,
        hold_out=hold_out,
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        preview_seconds=preview_seconds,
        preview_camera=preview_camera,
        evaluations=evaluations,
        settings=tuple(settings),
    )
    return answer_of(start(job, given), on_event)


def load_run(run: str | Path, device: str = "auto") -> Method:
    """What a training has learned: `render_rays`, `density` and `color` in scene units."""
    return load_method(RunFolder.open(run), choose_device(device))


def render_views(
    run: str | Path,
    *,
    cameras: str | Path = "",
    output: str | Path = "",
    format: str = "png",
    bits: int = 8,
    depth: bool = False,
    normals: bool = False,
    background: str = "transparent",
    video: bool = False,
    fps: float = 24.0,
    overwrite: bool = False,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> ViewsReady:
    """Renders a trained field through `cameras`, or through the held-out ones."""
    job = RenderViews(
        run=str(run),
        cameras=str(cameras),
        output=str(output),
        format=format,
        bits=bits,
        depth=depth,
        normals=normals,
        background=background,
        video=video,
        fps=fps,
        overwrite=overwrite,
        device=device,
    )
    return answer_of(start(job), on_event)


def extract_mesh(
    run: str | Path,
    *,
    output: str | Path = "",
    resolution: int = 256,
    surface: str = "auto",
    level: float = 0.0,
    crop_min: Iterable[float] = (),
    crop_max: Iterable[float] = (),
    keep_components: float = 0.02,
    keep_unseen: bool = False,
    colors: bool = True,
    keep_faces: float = 1.0,
    texture_size: int = 0,
    time: float = 0.0,
    shape: str = "",
    blend_to: str = "",
    blend: float = 0.0,
    axes: Iterable[float] = (),
    elements: str | Path = "",
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> MeshReady:
    """Writes the surface of a trained field, or of a shape of a family."""
    job = ExtractMesh(
        run=str(run),
        output=str(output),
        resolution=resolution,
        surface=surface,
        level=level,
        crop_min=tuple(crop_min),
        crop_max=tuple(crop_max),
        keep_components=keep_components,
        keep_unseen=keep_unseen,
        colors=colors,
        keep_faces=keep_faces,
        texture_size=texture_size,
        time=time,
        shape=shape,
        blend_to=blend_to,
        blend=blend,
        axes=tuple(axes),
        elements=str(elements),
        device=device,
    )
    return answer_of(start(job), on_event)


def extract_mesh_sequence(
    run: str | Path,
    *,
    output: str | Path = "",
    frames: Iterable[int] = (),
    times: Iterable[float] = (),
    resolution: int = 128,
    level: float = 0.0,
    crop_min: Iterable[float] = (),
    crop_max: Iterable[float] = (),
    keep_components: float = 0.02,
    keep_unseen: bool = False,
    colors: bool = True,
    overwrite: bool = False,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> MeshSequenceReady:
    """Writes the surface of a moving field, a mesh a frame."""
    job = ExtractMeshSequence(
        run=str(run),
        output=str(output),
        frames=tuple(frames),
        times=tuple(times),
        resolution=resolution,
        level=level,
        crop_min=tuple(crop_min),
        crop_max=tuple(crop_max),
        keep_components=keep_components,
        keep_unseen=keep_unseen,
        colors=colors,
        overwrite=overwrite,
        device=device,
    )
    return answer_of(start(job), on_event)


def extract_volume(
    run: str | Path,
    *,
    output: str | Path = "",
    frames: Iterable[int] = (1,),
    times: Iterable[float] = (),
    resolution: int = 192,
    crop_min: Iterable[float] = (),
    crop_max: Iterable[float] = (),
    smallest_opacity: float = 0.0003,
    largest_opacity: float = 0.9999,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> VolumeReady:
    """Writes a field's density and color on a grid, for each frame."""
    job = ExtractVolume(
        run=str(run),
        output=str(output),
        frames=tuple(frames),
        times=tuple(times),
        resolution=resolution,
        crop_min=tuple(crop_min),
        crop_max=tuple(crop_max),
        smallest_opacity=smallest_opacity,
        largest_opacity=largest_opacity,
        device=device,
    )
    return answer_of(start(job), on_event)


def bake_motion(
    run: str | Path,
    *,
    mesh: str | Path = "",
    output: str | Path = "",
    frames: Iterable[int] = (),
    times: Iterable[float] = (),
    rest_time: float = -1.0,
    mesh_to_field: Iterable[float] = (),
    resolution: int = 128,
    level: float = 0.0,
    tolerance: float = 0.002,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> MotionBaked:
    """Writes how the vertices of a mesh move with a field that warps."""
    job = BakeMotion(
        run=str(run),
        mesh=str(mesh),
        output=str(output),
        frames=tuple(frames),
        times=tuple(times),
        rest_time=rest_time,
        mesh_to_field=tuple(mesh_to_field),
        resolution=resolution,
        level=level,
        tolerance=tolerance,
        device=device,
    )
    return answer_of(start(job), on_event)


def evaluate(
    run: str | Path,
    *,
    split: str = "test",
    output: str | Path = "",
    images: bool = True,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> Evaluated:
    """Compares rendered views with held-out pictures."""
    job = Evaluate(run=str(run), split=split, output=str(output), images=images, device=device)
    return answer_of(start(job), on_event)
