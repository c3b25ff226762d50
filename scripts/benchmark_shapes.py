#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how well and how fast shapes are learned; `benchmark.py` shows the figures.

    python scripts/benchmark_shapes.py                  every row; half an hour
    python scripts/benchmark_shapes.py --only neural    rows whose name begins so; others are kept
    python scripts/benchmark_shapes.py --device cuda    the rows of a graphics card

The chairs are ModelNet10's, 32³ voxels, filled. The first 64 are learned; the last 20, which
nothing was ever tuned to, are the unseen ones. Overlaps (IoU) with the voxels are measured at the
middles of 64³ cells.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

import environment  # noqa: E402

FIGURES = REPOSITORY / "docs" / "figures" / "learned_shapes.json"
MESHES = {"armadillo": "armadillo.obj", "fertility": "fertility.off", "rocker": "rocker-arm.obj"}
LEARNED, UNSEEN = range(64), range(660, 680)


@dataclass(frozen=True)
class Row:
    """What is measured, and the bounds that each figure should keep: (name, least or most)."""

    name: str
    task: str
    measure: Callable[[Path], dict[str, float]]
    least: tuple[tuple[str, float], ...] = ()
    most: tuple[tuple[str, float], ...] = ()
    device: str = "cpu"


def main() -> int:
    """Returns the exit status: 0 done, 2 misused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    chosen = os.environ.get("NEURAL_FIELDS_TEST_DATA")
    default = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="folder of the shapes")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"No shapes at {arguments.data}. Name their folder with --data.")
        return 2
    for row in ROWS:
        if row.device == arguments.device and row.name.startswith(arguments.only):
            figures = {name: round(value, 4) for name, value in row.measure(arguments.data).items()}
            print(f"{time.strftime('%H:%M:%S')} {row.name}: {verdicts(row, figures)}", flush=True)
            _keep(row, figures)
    return 0


def neural_sdf(
    mesh: str, budget_s: float, device: str = "cpu"
) -> Callable[[Path], dict[str, float]]:
    def measure(data: Path) -> dict[str, float]:
        import torch

        import neural_backend as nf
        from neural_backend.datasets.mesh_files import load_shape
        from neural_backend.meshing.comparison import compare_meshes
        from neural_backend.meshing.marching_cubes import marching_cubes

        path = data / "meshes" / mesh
        with tempfile.TemporaryDirectory() as folder:
            _warm_up(device)
            started = time.perf_counter()
            fitted = nf.fit_shape(Path(folder) / "run", [path], seconds=budget_s, device=device)
            seconds = time.perf_counter() - started
            family = nf.load_shape_run(fitted.run, device=device)
        surface = family.surface(family.shape(""))
        started = time.perf_counter()
        vertices, faces = finished(marching_cubes(surface, 256))
        extracting = time.perf_counter() - started
        scores = compare_meshes(
            (vertices, faces), load_shape(path), torch.Generator().manual_seed(0), 0.01
        )
        figures = {
            "chamfer_percent": scores.chamfer_percent,
            "f_score": scores.f_score,
            "fitting_s": seconds,
            "extracting_256_s": extracting,
            "numbers": family.method.numbers_per_shape,
        }
        if mesh == MESHES["rocker"]:
            # Asking for every point takes half a minute: once is enough.
            figures["signs_unlike_dense"] = differing_signs(surface, 256)
        return figures

    return measure


def differing_signs(surface: Any, resolution: int) -> int:
    """Grid points whose side differs from what asking for every one of them finds."""
    import numpy as np
    import torch

    from neural_backend.meshing.distance_grid import evaluate_by_distance
    from neural_backend.meshing.grid import BLOCK, Lattice

    lattice = Lattice.over(surface.bounds, resolution)
    grid = finished(evaluate_by_distance(surface, lattice))
    axes = [np.arange(count + 1) for count in lattice.cells]
    dense = np.zeros([BLOCK * count + 1 for count in lattice.num_blocks], dtype=bool)
    for x in axes[0]:
        indices = np.stack(np.meshgrid([x], axes[1], axes[2], indexing="ij"), axis=-1)
        points = torch.from_numpy(lattice.world(indices).astype(np.float32)).reshape(-1, 3)
        inside = (surface.signed(points) >= 0).numpy().reshape(indices.shape[1:3])
        dense[x + 1, 1 : inside.shape[0] + 1, 1 : inside.shape[1] + 1] = inside
    wrong = 0
    for block in np.ndindex(*lattice.num_blocks):
        true = dense[tuple(slice(BLOCK * i, BLOCK * i + BLOCK + 1) for i in block)]
        known = grid.blocks.get(block)
        # A block that was not stored holds no surface.
        wrong += int((true != (true[0, 0, 0] if known is None else known)).sum())
    return wrong


def structured_implicit(preset: str, settings: tuple[str, ...]) -> Callable:
    def measure(data: Path) -> dict[str, float]:
        import numpy as np
        import torch

        import neural_backend as nf
        from neural_backend.datasets.mesh_files import load_shape
        from neural_backend.geometry.mesh_distance import winding_number
        from neural_backend.meshing.comparison import volumetric_iou

        path = data / "meshes" / MESHES["armadillo"]
        options = {"method": "structured_implicit", "preset": preset, "settings": settings}
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            fitted = nf.fit_shape(Path(folder) / "run", [path], seconds=40, device="cpu", **options)
            seconds = time.perf_counter() - started
            family = nf.load_shape_run(fitted.run, device="cpu")
        surface = family.surface(family.shape(""))
        low, high = surface.bounds
        random = torch.rand(100_000, 3, generator=torch.Generator().manual_seed(9))
        points = low + random * (high - low)
        true = np.abs(winding_number(*load_shape(path), points.double().numpy())) > 0.5
        return {
            "iou": volumetric_iou((surface.signed(points) >= 0).numpy(), true),
            "fitting_s": seconds,
            "numbers": family.method.numbers_per_shape,
        }

    return measure


def chairs(method: str, seconds: float, device: str = "cpu") -> Callable[[Path], dict[str, float]]:
    def measure(data: Path) -> dict[str, float]:
        import numpy as np
        import torch

        import neural_backend as nf
        from neural_backend.datasets.voxel_shapes import VoxelShape, sample_voxels

        stored = np.load(data / "modelnet10_voxels" / "chair_train.npz")
        bits = np.unpackbits(stored["packed"], axis=1)[:, : int(np.prod(stored["shape"]))]
        voxels = bits.reshape(-1, *stored["shape"]).astype(bool)

        def sampled(number: int) -> Any:
            generator = torch.Generator().manual_seed(number)
            shape = VoxelShape(voxels[number])
            return sample_voxels(shape, f"chair {number}", 10_000, 40_000, 20_000, generator)

        started = time.perf_counter()
        learned = [sampled(number) for number in LEARNED]
        with tempfile.TemporaryDirectory() as folder:
            fitted = nf.fit_shape(
                Path(folder) / "run", learned, method=method, seconds=seconds, device=device
            )
            training = time.perf_counter() - started
            family = nf.load_shape_run(fitted.run, device=device).method
        known = [
            overlap(family.isosurface(code), VoxelShape(voxels[number]))
            for code, number in zip(family.codes(), LEARNED, strict=True)
        ]
        unseen, times = [], []
        for number in UNSEEN:
            sample = sampled(number)
            started = time.perf_counter()
            code = family.fit_latent(observed(method, sample), torch.Generator().manual_seed(0))
            times.append(time.perf_counter() - started)
            unseen.append(overlap(family.isosurface(code), VoxelShape(voxels[number])))
        return {
            "iou_learned": float(np.mean(known)),
            "iou_unseen": float(np.mean(unseen)),
            "fit_s": float(np.median(times)),
            "training_s": training,
            "numbers": family.numbers_shared,
        }

    return measure


def observed(method: str, sample: Any) -> Any:
    """Distances for `deep_sdf`; for an occupancy network 300 points on the surface."""
    from neural_backend.methods.shape_base import Observation

    if method == "occupancy_network":
        return Observation.of_surface(sample.surface[:300])
    return Observation.of_samples(sample)


def overlap(surface: Any, shape: Any, cells: int = 64) -> float:
    """IoU of a learned shape with voxels, at the middles of cells."""
    import torch

    from neural_backend.meshing.comparison import volumetric_iou

    axis = (torch.arange(cells) + 0.5) / cells * 2 - 1
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    inside = surface.signed(points.to(surface.bounds)) >= 0
    return volumetric_iou(inside.cpu().numpy(), shape.occupied(points).numpy())


def finished(steps: Any) -> Any:
    """The result of a generator that tells how far it is."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def _warm_up(device: str) -> None:
    """Compiles the kernels, which happens once and is kept on disk."""
    import torch

    from neural_backend.encodings.hash_grid import HashGrid
    from neural_backend.kernels.hash_grid import hash_grid_layout

    grid = HashGrid(hash_grid_layout(1, 4, 8, 2, 2)).to(device)
    grid(torch.zeros(1, 3, device=device)).sum().backward()


_SDF = {
    "least": (("f_score", 0.99),),
    "most": (("chamfer_percent", 0.2), ("fitting_s", 60), ("extracting_256_s", 3),
             ("signs_unlike_dense", 0)),
}  # fmt: skip
_DEEP = {
    "least": (("iou_learned", 0.85), ("iou_unseen", 0.65)),
    "most": (("fit_s", 1), ("training_s", 900)),
}
ROWS = (
    *(Row(f"neural_sdf_{name}", f"`neural_sdf`, {name}", neural_sdf(mesh, 25), **_SDF)
      for name, mesh in MESHES.items()),
    Row("sif", "SIF, 32 elements, armadillo", structured_implicit("standard", ()),
        least=(("iou", 0.8),)),
    Row("ldif", "LDIF, 32 elements, armadillo", structured_implicit("final", ()),
        least=(("iou", 0.8),)),
    Row("deep_sdf", "`deep_sdf`, 64 chairs", chairs("deep_sdf", 600), **_DEEP),
    Row("occupancy_network", "`occupancy_network`, 64 chairs, 300 points",
        chairs("occupancy_network", 840), least=(("iou_unseen", 0.55),)),
    Row("cuda_neural_sdf", "`neural_sdf`, armadillo, on CUDA",
        neural_sdf(MESHES["armadillo"], 4, "cuda"),
        most=(("chamfer_percent", 0.1), ("fitting_s", 5)), device="cuda"),
    Row("cuda_deep_sdf", "`deep_sdf`, 64 chairs, on CUDA", chairs("deep_sdf", 60, "cuda"),
        most=(("fit_s", 0.3),), device="cuda"),
)  # fmt: skip


def verdicts(row: Row, figures: dict[str, float]) -> str:
    bounds = {**{name: ("≥", goal) for name, goal in row.least},
              **{name: ("≤", goal) for name, goal in row.most}}  # fmt: skip
    parts = []
    for name, value in figures.items():
        text = f"{name.replace('_', ' ')} {value:g}"
        if name in bounds:
            sign, goal = bounds[name]
            kept = value >= goal if sign == "≥" else value <= goal
            text += f" ({sign} {goal:g}: {'reached' if kept else 'MISSED'})"
        parts.append(text)
    return ", ".join(parts)


def section(stored: dict[str, Any]) -> list[str]:
    """The part of docs/BENCHMARKS.md that shows stored figures."""
    import benchmark

    lines = [
        "",
        "## Learned shapes",
        "",
        "Written by `python scripts/benchmark_shapes.py`. Chamfer is a percentage of the bounding",
        "box's diagonal, the F-score is at 1 % of it; fitting counts everything from the file to",
        "the saved run. Chairs are ModelNet10's filled voxels; the unseen ones were never trained",
        "on.",
        "",
        *benchmark._machines([{"name": name, **one} for name, one in stored.items()]),
        "",
        "| task | measured |",
        "|---|---|",
    ]
    rows = {row.name: row for row in ROWS}
    for name, one in stored.items():
        lines.append(f"| {one['task']} | {verdicts(rows[name], one['figures'])} |")
    return lines


def _keep(row: Row, figures: dict[str, float]) -> None:
    import benchmark

    from neural_backend.jobs.run_folder import write_json, write_text

    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    stored = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    stored[row.name] = {
        "task": row.task, "figures": figures, "machine": benchmark._machine(row.device),
        "date": date.today().isoformat(),
    }  # fmt: skip
    write_json(FIGURES, {one.name: stored[one.name] for one in ROWS if one.name in stored})
    write_text(benchmark.PAGE, benchmark._page())


if __name__ == "__main__":
    environment.enter()
    sys.exit(main())
