# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import neural_backend as nf
from neural_backend.fields.analytic_shapes import Box, Sphere, Torus
from neural_backend.fields.csg import Difference, Moved, Union
from neural_backend.jobs.shape_files import isosurface
from neural_backend.meshing.grid import Lattice, evaluate_near_surface
from neural_backend.meshing.marching_cubes import marching_cubes
from neural_backend.protocol.errors import JobError

CPU = torch.device("cpu")
BALL = {"type": "sphere", "radius": 1.0}


def described(folder: Path, values: object, name: str = "shape.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(values))
    return path


def last_of(steps):
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def test_a_described_solid_becomes_a_mesh_in_its_place(tmp_path: Path) -> None:
    hollow = {
        "type": "moved",
        "location": [3.0, 0.0, 1.0],
        "part": {"type": "difference", "parts": [BALL, {"type": "sphere", "radius": 0.5}]},
    }
    ready = nf.mesh_shape(described(tmp_path, hollow), tmp_path / "out.ply", resolution=48)
    mesh = trimesh.load_mesh(ready.output, process=False)
    assert mesh.is_watertight
    assert len(mesh.faces) == ready.num_faces
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * (1 - 0.125), rel=0.01)
    np.testing.assert_allclose(mesh.bounds, [[2, -1, 0], [4, 1, 2]], atol=0.01)


def test_meshes_are_parts_like_any_other_by_paths_from_the_description(tmp_path: Path) -> None:
    folder = tmp_path / "ä parts"
    folder.mkdir()
    trimesh.creation.box((2, 2, 2)).export(folder / "box.ply")
    cut = {"type": "difference", "parts": [{"type": "file", "path": "box.ply"},
                                           {"type": "sphere", "radius": 0.8}]}  # fmt: skip
    ready = nf.mesh_shape(described(folder, cut), tmp_path / "out.obj", resolution=40)
    volume = trimesh.load_mesh(ready.output, process=False).volume
    assert volume == pytest.approx(8 - 4 / 3 * np.pi * 0.8**3, rel=0.01)
    again = nf.mesh_shape(folder / "box.ply", tmp_path / "grown.ply", level=0.25, resolution=40)
    grown = trimesh.load_mesh(again.output, process=False)
    np.testing.assert_allclose(grown.bounds, [[-1.25] * 3, [1.25] * 3], atol=0.01)


def test_a_crop_box_ends_what_has_no_end(tmp_path: Path) -> None:
    ground = described(tmp_path, {"type": "plane"})
    with pytest.raises(JobError, match="no end"):
        nf.mesh_shape(ground, tmp_path / "out.ply", resolution=16)
    ready = nf.mesh_shape(
        ground, tmp_path / "out.ply", resolution=16, crop_min=(-1, -1, -1), crop_max=(1, 1, 1)
    )
    mesh = trimesh.load_mesh(ready.output, process=False)
    assert mesh.volume == pytest.approx(4.0, rel=0.05)


REFUSED = {
    "is no shape": "nothing",
    "unknown type": {"type": "cube"},
    "empty": {"type": "intersection", "parts": [BALL, {"type": "moved", "location": [5, 0, 0],
                                                       "part": BALL}]},
    "flat": {"type": "box", "half_size": [1, 1]},
    "in a circle": {"type": "file", "path": "shape.json"},
    "no file": {"type": "file", "path": "gone.ply"},
    "no family": {"type": "file", "path": "gone.ply", "blend_to": "b", "blend": 0.5},
    "no surface": {"type": "offset", "amount": -2.0, "part": BALL},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_meshed_is_explained(tmp_path: Path, message: str) -> None:
    values = REFUSED[message]
    path = tmp_path / values if isinstance(values, str) else described(tmp_path, values)
    with pytest.raises(JobError, match=message) as refused:
        nf.mesh_shape(path, tmp_path / "out.ply", resolution=16)
    assert refused.value.remedy


@pytest.mark.parametrize("resolution", [23, 96])
def test_skipping_what_is_far_from_the_surface_leaves_it_as_it_is(resolution: int) -> None:
    """Against every point of the grid, and against the search that knows nothing of distances."""
    shape = Union(
        (
            Difference((Box((0.8, 0.7, 0.6)), Sphere(0.75)), 0.1),
            Moved(Torus(0.5, 0.08), (0.2, 0.1, 0.7), (40.0, 10.0, 0.0)),
            Moved(Sphere(0.04), (-0.9, -0.9, 0.9)),
        )
    )
    surface = isosurface(shape, CPU)
    assert surface.steepest == 1.0
    vertices, faces = last_of(marching_cubes(surface, resolution))
    lattice = Lattice.over(surface.bounds, resolution)
    indices = np.stack(np.meshgrid(*(np.arange(n + 1) for n in lattice.cells), indexing="ij"), -1)
    points = torch.from_numpy(lattice.world(indices.reshape(-1, 3)).astype(np.float32))
    inside = surface.signed(points).reshape(indices.shape[:-1]).numpy() >= 0
    crossed = sum(int((inside.take(range(1, n), axis) != inside.take(range(n - 1), axis)).sum())
                  for axis, n in enumerate(inside.shape))  # fmt: skip
    assert len(vertices) == crossed
    blocks = last_of(evaluate_near_surface(surface, lattice)).blocks
    assert blocks
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    distance = shape.distance(torch.from_numpy(vertices)).abs()
    # After two halvings of an edge a kink within what is left spoils the linear step by a quarter.
    assert float(distance.max()) < lattice.cell.max() / 2**4
    assert float(distance.median()) < 1e-4
