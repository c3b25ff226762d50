# SPDX-License-Identifier: GPL-3.0-or-later
"""Any shape by its path: a description, a mesh or a run of learned shapes."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.mesh_files import SHAPE_FORMATS, load_shape
from ..fields.csg import FileShape, FunctionShape, bind
from ..fields.shape import Shape
from ..fields.shape_description import read_shape
from ..geometry.mesh_distance import mesh_report, signed_distance
from ..meshing.isosurface import Isosurface
from ..protocol.errors import JobError
from .run_folder import RunFolder
from .shape_family import ShapeFamily
from .trained_method import load_shapes

_MOST_NESTED = 20

_ASSUMED_SLOPE = 2.0
"""How steep learned distances are taken to be at most where their method does not say: true ones
have a slope of 1."""


def open_shape(
    path: str | Path,
    device: torch.device,
    folder: Path | None = None,
    depth: int = 0,
    named: FileShape | None = None,
) -> Shape:
    """The solid at a path, which is seen from `folder` where it is relative.

    Of a run of several shapes, `run#name` is the one of that name or number; `named`, which a
    description has for the path, may say which way to go from there.

    Raises:
        JobError: where there is none, or it has no inside.
    """
    if depth > _MOST_NESTED:
        raise JobError(
            f"{path} is described by itself: descriptions name one another in a circle.",
            "Let the innermost one describe a solid.",
        )
    whole = (folder or Path()) / Path(path).expanduser()
    is_file = whole.suffix.lower() in (".json", *SHAPE_FORMATS)
    if is_file and named is not None and named.is_changed:
        raise JobError(
            f"{whole.name} is no family of shapes between which others lie.",
            "Name a run folder, or leave out blend_to, blend and axes.",
        )
    if whole.suffix.lower() == ".json":
        return bind(
            read_shape(whole),
            lambda inner: open_shape(inner.path, device, whole.parent, depth + 1, inner),
        )
    if whole.suffix.lower() in SHAPE_FORMATS:
        return _of_mesh(whole)
    run, _, name = str(whole).partition("#")
    if (Path(run) / "run.json").is_file():
        return _of_run(RunFolder.open(run), name, device, named or FileShape(run))
    raise JobError(
        f"{whole} is no shape.",
        f"Choose a description (.json), a mesh ({', '.join(SHAPE_FORMATS)}) or a run folder.",
    )


def isosurface(shape: Shape, device: torch.device, level: float = 0.0) -> Isosurface:
    """The surface of a shape with a finite box, a little larger than it.

    Raises:
        JobError: where the shape is endless or its box empty.
    """
    lower, upper = shape.bounds()
    extent = upper - lower + 2 * level
    if not extent.isfinite().all():
        raise JobError(
            "The shape has no end: it reaches as far as a plane does.",
            "Intersect it with a box or a sphere, or give a whole crop box.",
        )
    if not (extent > 0).all():
        raise JobError("The shape is empty: its parts do not meet.", "Move its parts together.")
    margin = level + 0.01 * float(extent.max())
    bounds = torch.stack([lower - margin, upper + margin]).float().to(device)
    return Isosurface(shape.distance, level, False, bounds, steepest=1.0)


def _of_mesh(path: Path) -> Shape:
    vertices, faces = load_shape(path)
    report = mesh_report(vertices, faces)

    def distance(points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        exact = signed_distance(vertices, faces, points.detach().double().cpu().numpy())
        return torch.from_numpy(exact).to(points)

    return FunctionShape(distance, torch.from_numpy(np.array(report.bounds)))


def _of_run(run: RunFolder, name: str, device: torch.device, named: FileShape) -> Shape:
    family = ShapeFamily(run, load_shapes(run, device))
    placed = family.between(name, named.blend_to, named.blend, named.axes)
    surface = family.surface(placed)
    if surface.inside_above and not surface.steepest > 0:
        raise JobError(
            f"{run.path} learned occupancies, which say nothing of distances.",
            "Choose a run of neural_sdf or deep_sdf, or extract its mesh and take that.",
        )
    # Divided by their steepest slope values are distances that are never too long.
    scale = 1.0 / (surface.steepest or _ASSUMED_SLOPE)
    return FunctionShape(
        lambda points: -scale * surface.signed(points.float()).to(points), surface.bounds
    )
