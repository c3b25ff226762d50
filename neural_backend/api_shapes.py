# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the Python interface that is about shapes; see `neural_backend.api`."""

from collections.abc import Iterable
from pathlib import Path

from .datasets.shape_set import ShapeSamples
from .jobs import start
from .jobs.base import OnEvent, answer_of
from .jobs.devices import choose_device
from .jobs.run_folder import RunFolder
from .jobs.shape_family import ShapeFamily
from .jobs.trained_method import load_shapes
from .protocol.messages import (
    FitImage,
    FitLatent,
    FitShape,
    ImageFitted,
    LatentFitted,
    MeshReady,
    MeshShape,
    ShapesFitted,
    TraceShape,
    ViewsReady,
)


def fit_shape(
    run: str | Path,
    meshes: Iterable[str | Path | ShapeSamples],
    *,
    method: str = "auto",
    preset: str = "standard",
    device: str = "auto",
    steps: int = 0,
    seconds: float = 0.0,
    seed: int = 0,
    samples: int = 0,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    settings: Iterable[str] = (),
    on_event: OnEvent | None = None,
) -> ShapesFitted:
    """Learns the shape of mesh files, or of what was measured of shapes, into the folder `run`.

    Raises:
        ValueError: where files and measured shapes are mixed.
    """
    given = list(meshes)
    measured = [one for one in given if isinstance(one, ShapeSamples)]
    if measured and len(measured) != len(given):
        raise ValueError("expected either files or measured shapes, got both")
    job = FitShape(
        run=str(run),
        meshes=() if measured else tuple(str(one) for one in given),
        method=method,
        preset=preset,
        device=device,
        steps=steps,
        seconds=seconds,
        seed=seed,
        samples=samples,
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        settings=tuple(settings),
    )
    return answer_of(start(job, measured or None), on_event)


def fit_latent(
    run: str | Path,
    mesh: str | Path,
    *,
    name: str = "",
    partial: bool = False,
    viewpoint: Iterable[float] = (),
    steps: int = 0,
    seed: int = 0,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> LatentFitted:
    """Finds a mesh, whole or in part, in a family of shapes, and keeps it by its name."""
    job = FitLatent(
        run=str(run),
        mesh=str(mesh),
        name=name,
        partial=partial,
        viewpoint=tuple(viewpoint),
        steps=steps,
        seed=seed,
        device=device,
    )
    return answer_of(start(job), on_event)


def mesh_shape(
    shape: str | Path,
    output: str | Path,
    *,
    resolution: int = 256,
    level: float = 0.0,
    crop_min: Iterable[float] = (),
    crop_max: Iterable[float] = (),
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> MeshReady:
    """Writes the surface of a described solid, of a mesh or of a learned shape."""
    job = MeshShape(
        shape=str(shape),
        output=str(output),
        resolution=resolution,
        level=level,
        crop_min=tuple(crop_min),
        crop_max=tuple(crop_max),
        device=device,
    )
    return answer_of(start(job), on_event)


def trace_shape(
    shape: str | Path,
    output: str | Path,
    *,
    cameras: str | Path = "",
    width: int = 400,
    depth: bool = False,
    normals: bool = False,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> ViewsReady:
    """Draws a described solid, a mesh or a learned shape by sphere tracing."""
    job = TraceShape(
        shape=str(shape),
        output=str(output),
        cameras=str(cameras),
        width=width,
        depth=depth,
        normals=normals,
        device=device,
    )
    return answer_of(start(job), on_event)


def fit_image(
    image: str | Path,
    output: str | Path,
    *,
    width: int = 0,
    encoding: str = "gaussian",
    scale: float = 10.0,
    steps: int = 0,
    seed: int = 0,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> ImageFitted:
    """Learns a picture as a function and draws it `width` pixels wide."""
    job = FitImage(
        image=str(image),
        output=str(output),
        width=width,
        encoding=encoding,
        scale=scale,
        steps=steps,
        seed=seed,
        device=device,
    )
    return answer_of(start(job), on_event)


def load_shape_run(run: str | Path, device: str = "auto") -> ShapeFamily:
    """What was learned of meshes: shapes by name, what lies between them, and their surfaces."""
    folder = RunFolder.open(run)
    return ShapeFamily(folder, load_shapes(folder, choose_device(device)))
