#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures drawing and meshing a solid of ten primitives, and writes docs/BENCHMARKS.md.

    python scripts/benchmark_exact_shapes.py

Seconds are the median of several runs after one that is not counted, on all processors. The mesh is
compared with the evaluation of every point of its grid.
"""

import statistics
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

import environment  # noqa: E402

FIGURES = REPOSITORY / "docs" / "figures" / "exact_shapes.json"
RUNS = 7
WIDTH, RESOLUTION = 400, 256
CLOSER = 1.6
"""How much longer the lens is than one that shows all: half of the view then is covered."""

GOALS = {"tracing": 0.2, "meshing": 3.0}

SCENE = {
    "type": "union",
    "parts": [
        {
            "type": "difference",
            "parts": [
                {"type": "rounded_box", "half_size": [0.9, 0.9, 0.5], "radius": 0.1},
                {"type": "sphere", "radius": 0.75},
                {
                    "type": "moved",
                    "rotation_deg": [90, 0, 0],
                    "part": {"type": "cylinder", "radius": 0.3, "half_height": 2.0},
                },
                {
                    "type": "moved",
                    "rotation_deg": [0, 90, 0],
                    "part": {"type": "cylinder", "radius": 0.3, "half_height": 2.0},
                },
            ],
        },
        {
            "type": "moved",
            "location": [0, 0, 0.9],
            "rotation_deg": [30, 20, 0],
            "part": {"type": "torus", "ring_radius": 0.6, "tube_radius": 0.15},
        },
        {
            "type": "union",
            "smoothness": 0.2,
            "parts": [
                {
                    "type": "moved",
                    "location": [1.2, 0, 0.2],
                    "part": {"type": "sphere", "radius": 0.3},
                },
                {
                    "type": "moved",
                    "location": [1.2, 0, 0.2],
                    "rotation_deg": [45, 0, 0],
                    "part": {
                        "type": "capsule",
                        "start": [0, 0, -0.4],
                        "end": [0, 0, 0.4],
                        "radius": 0.15,
                    },
                },
            ],
        },
        {
            "type": "moved",
            "location": [-1.2, 0.2, 0],
            "part": {"type": "cone", "bottom_radius": 0.4, "top_radius": 0.1, "half_height": 0.5},
        },
        {
            "type": "moved",
            "location": [0, -1.3, 0],
            "rotation_deg": [0, 0, 30],
            "part": {"type": "box", "half_size": [0.2, 0.3, 0.4]},
        },
        {
            "type": "moved",
            "location": [0, 0, -0.6],
            "part": {"type": "box", "half_size": [2, 2, 0.05]},
        },
    ],
}


def main() -> int:
    """Measures both, keeps the figures, writes the page. Returns 0."""
    import benchmark

    from neural_backend.jobs.run_folder import write_json, write_text

    report = {
        **{name: measured() for name, measured in MEASUREMENTS.items()},
        "machine": benchmark._machine(),
        "date": date.today().isoformat(),
    }
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    write_json(FIGURES, report)
    write_text(benchmark.PAGE, benchmark._page())
    for line in section(report):
        print(line)
    return 0


def measure_tracing() -> dict[str, Any]:
    """One view of most of the solid, shaded, with depth and normals."""
    import torch

    from neural_backend.fields.shape_description import shape_from_dict
    from neural_backend.jobs.shape_files import isosurface
    from neural_backend.jobs.trace_shape import traced_image, view_of_all

    shape = shape_from_dict(SCENE)
    surface = isosurface(shape, torch.device("cpu"))
    view = view_of_all(surface, WIDTH)
    closer = replace(
        view.intrinsics,
        focal_x_px=CLOSER * view.intrinsics.focal_x_px,
        focal_y_px=CLOSER * view.intrinsics.focal_y_px,
    )
    view = replace(view, intrinsics=closer)
    seconds = median_seconds(lambda: traced_image(shape, surface, view))
    image = traced_image(shape, surface, view)
    return {"seconds": seconds, "covered": float((image.alpha > 0).mean())}


def measure_meshing() -> dict[str, Any]:
    """The mesh with normals, and whether the whole grid would give the same."""
    import numpy as np
    import torch

    from neural_backend.fields.shape_description import shape_from_dict
    from neural_backend.jobs.shape_files import isosurface
    from neural_backend.meshing.grid import Lattice
    from neural_backend.meshing.surface import extract_mesh

    surface = isosurface(shape_from_dict(SCENE), torch.device("cpu"))
    seconds = median_seconds(lambda: last_of(extract_mesh(surface, RESOLUTION, 0.0)))
    mesh = last_of(extract_mesh(surface, RESOLUTION, 0.0))
    lattice = Lattice.over(surface.bounds, RESOLUTION)
    layers = []
    for x in range(lattice.cells[0] + 1):
        y, z = np.arange(lattice.cells[1] + 1), np.arange(lattice.cells[2] + 1)
        indices = np.stack(np.meshgrid([x], y, z, indexing="ij"), axis=-1)[0]
        points = torch.from_numpy(lattice.world(indices.reshape(-1, 3)).astype(np.float32))
        layers.append(surface.signed(points).reshape(len(y), len(z)).numpy() >= 0)
    inside = np.stack(layers)
    # Marching cubes has a vertex for each edge of the grid whose ends differ.
    crossed = sum(int(np.count_nonzero(np.diff(inside, axis=axis))) for axis in range(3))
    return {
        "seconds": seconds,
        "vertices": len(mesh.vertices),
        "vertices_of_whole_grid": crossed,
    }


MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "tracing": measure_tracing,
    "meshing": measure_meshing,
}


def median_seconds(work: Callable[[], Any]) -> float:
    work()
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), 4)


def last_of(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def section(report: dict[str, Any]) -> list[str]:
    """The lines of the page that these figures make."""
    tracing, meshing = report["tracing"], report["meshing"]
    same = meshing["vertices"] == meshing["vertices_of_whole_grid"]
    return [
        "",
        "## Exact shapes",
        "",
        "Written by `python scripts/benchmark_exact_shapes.py`: a solid of ten primitives, on",
        f"{report['machine']}, {report['date']}.",
        "",
        "| task | seconds | to reach | |",
        "|---|---|---|---|",
        f"| sphere tracing a view of {WIDTH}² pixels, shaded, with depth and normals "
        f"| **{tracing['seconds']:.3f}** | {GOALS['tracing']:g} "
        f"| {tracing['covered']:.0%} of the view covered |",
        f"| mesh of {RESOLUTION}³ cells with normals "
        f"| **{meshing['seconds']:.2f}** | {GOALS['meshing']:g} "
        f"| {meshing['vertices']} vertices, {'as many as' if same else 'NOT as many as'} the whole "
        "grid gives |",
    ]


if __name__ == "__main__":
    environment.enter()
    sys.exit(main())
