# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages about shapes that are learned from meshes; all others are in `messages`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class FitShape:
    """Learn the shape of meshes. Answered by `Progress`, then `ShapesFitted`."""

    type: ClassVar[str] = "fit_shape"
    job_id: str = "job"
    run: Annotated[str, "run folder to write: checkpoints, metrics and outputs"]
    meshes: Annotated[
        tuple[str, ...], "files to learn: .obj, .ply, .stl, .glb or .off, one or a family"
    ]
    method: Annotated[
        str, "auto, neural_sdf or structured_implicit for one; deep_sdf or occupancy_network"
    ] = "auto"
    preset: Annotated[str, "quality: draft, standard or final"] = "standard"
    device: Annotated[str, "auto, cpu or cuda"] = "auto"
    steps: Annotated[int, "optimisation steps; 0 takes the preset's"] = 0
    seconds: Annotated[float, "training budget in seconds; 0 counts steps instead"] = 0.0
    seed: Annotated[int, "seed of every random choice"] = 0
    samples: Annotated[int, "points about each mesh that are measured; 0 chooses"] = 0
    resume: Annotated[bool, "go on from the run folder's last checkpoint"] = False
    checkpoint_seconds: Annotated[float, "seconds between checkpoints"] = 30.0
    settings: Annotated[
        tuple[str, ...], "changes to the method's configuration, as name=value"
    ] = ()


@dataclass(frozen=True, kw_only=True)
class FitLatent:
    """Find a mesh, whole or in part, in a family of shapes. Answered by `LatentFitted`."""

    type: ClassVar[str] = "fit_latent"
    job_id: str = "job"
    run: Annotated[str, "run folder of a family of shapes"]
    mesh: Annotated[str, "mesh file, or .ply with points alone"]
    name: Annotated[str, "what to call the shape in this run; '' for the file's name"] = ""
    partial: Annotated[
        bool, "the file holds a part of the surface: complete it, in the family's own frame"
    ] = False
    viewpoint: Annotated[
        tuple[float, ...], "where a partial surface was seen from: space up to it is free"
    ] = ()
    steps: Annotated[int, "optimisation steps; 0 takes the method's"] = 0
    seed: Annotated[int, "seed of every random choice"] = 0
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ShapesFitted:
    """Shapes were learned and saved; `shapes` are their names in the run."""

    type: ClassVar[str] = "shapes_fitted"
    job_id: str
    run: str
    method: str
    shapes: tuple[str, ...]
    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LatentFitted:
    """A shape was found in a family, and is one of the run's shapes by its name.

    `error` is how far, in scene units, what was seen of the surface lies from that of the found
    shape, on average.
    """

    type: ClassVar[str] = "latent_fitted"
    job_id: str
    run: str
    name: str
    error: float
    seconds: float
