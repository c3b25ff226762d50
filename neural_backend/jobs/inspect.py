# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes a capture, a run or a mesh."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..datasets.capture import Capture, View
from ..datasets.loading import load_capture
from ..datasets.mesh_files import SHAPE_FORMATS, load_shape
from ..geometry.mesh_distance import MOST_OPEN, mesh_report
from ..methods.shape_base import ShapeMethod
from ..protocol.messages import Event, Inspect, Inspected
from ..training.checkpoint import Checkpoint, last_checkpoint, load_checkpoint
from .run_folder import RunFolder
from .shape_family import ShapeFamily
from .trained_method import learned_shapes, restore_shapes


def run(job: Inspect) -> Iterator[Event]:
    """Says what is in a folder or mesh, a line an item. Raises JobError where it is neither."""
    path = Path(job.path).expanduser()
    if (path / "run.json").is_file():
        lines = _describe_run(RunFolder.open(path))
    elif path.suffix.lower() in SHAPE_FORMATS and not path.is_dir():
        lines = _describe_mesh(path)
    else:
        lines = _describe_capture(load_capture(path))
    yield Inspected(job_id=job.job_id, lines=tuple(lines))


def _describe_capture(capture: Capture) -> Iterator[str]:
    views = capture.views
    splits = Counter(view.split for view in views)
    yield f"capture: {capture.source}"
    yield f"views: {len(views)} ({', '.join(f'{count} {name}' for name, count in splits.items())})"
    for lens, count in Counter(_lens(view) for view in views).most_common(8):
        yield f"lens of {count} views: {lens}"
    low, high = capture.bounds
    yield f"bounds: {_corner(low)} to {_corner(high)}"
    yield f"surroundings: {'shown in the pictures' if capture.unbounded else 'transparent'}"
    masked = sum(view.mask is not None for view in views)
    if masked:
        yield f"masks: {masked}, their black is {_MASK_ROLES[capture.mask_role]}"
    if capture.is_dynamic:
        mapped = capture.time_map
        frames = f", frames {mapped.frame_start} to {mapped.frame_end}" if mapped else ""
        yield f"times: {len({view.time for view in views})}{frames}"
    for warning in capture.warnings:
        yield f"warning: {warning}"


_MASK_ROLES = {"object": "empty space", "ignore": "ignored"}


def _lens(view: View) -> str:
    lens = view.intrinsics
    focal = f"{lens.focal_x_px:.1f}"
    if not np.isclose(lens.focal_x_px, lens.focal_y_px, rtol=1e-3):
        focal += f" × {lens.focal_y_px:.1f}"
    kind = lens.model.lower() if lens.is_distorted else "pinhole"
    return f"{lens.width} × {lens.height} px, focal length {focal} px, {kind}"


def _corner(corner: np.ndarray) -> str:
    return f"({', '.join(f'{value:.3g}' for value in corner)})"


def _describe_mesh(path: Path) -> Iterator[str]:
    # Whatever is wrong with the mesh is said, not refused, as long as it has some surface.
    report = mesh_report(*load_shape(path), signed=False)
    yield f"mesh: {path}"
    yield f"size: {report.num_vertices} vertices, {report.num_faces} triangles"
    yield f"bounds: {_corner(report.bounds[0])} to {_corner(report.bounds[1])}"
    yield f"area: {report.area:.4g}"
    if report.watertight:
        yield "watertight: yes"
    else:
        yield (
            f"watertight: no, {report.boundary_edges} edges have a face on one side only, "
            f"{report.nonmanifold_edges} join faces that do not fit"
        )
    if report.openness > MOST_OPEN:
        yield f"inside: none, {report.openness:.0%} of the surface has no side that is inside"
    else:
        yield f"inside: clear for {1 - report.openness:.1%} of the surface"
    if report.degenerate_faces:
        yield f"warning: {report.degenerate_faces} triangles have no area"
    if report.inside_out:
        yield "warning: its faces point inwards"


def _describe_shapes(run: RunFolder, checkpoint: Checkpoint) -> Iterator[str]:
    learned = restore_shapes(checkpoint, torch.device("cpu"))
    method, recipe = learned.method, learned.recipe
    names, found = recipe.names, list(ShapeFamily(run, learned).shapes)[len(recipe.names) :]
    yield f"shapes: {len(names)} ({', '.join(names[:8])}{', …' if len(names) > 8 else ''})"
    if found:
        yield f"found since: {', '.join(found)}"
    own, shared = method.numbers_per_shape, method.numbers_shared
    total = own + shared / len(names)
    parts = f"{own} of its own"
    if shared:
        parts += f" and a share of the {shared} that all {len(names)} have in common"
    yield f"numbers a shape: {total:.0f} ({parts})"
    sizes = np.array(recipe.mesh_sizes, dtype=np.int64).reshape(-1, 2)
    if sizes.any():
        of_mesh = float((3 * sizes).sum(axis=1).mean())
        yield f"numbers of its mesh: {of_mesh:.0f}, {_times(total, of_mesh)}"
    resolution = equal_resolution(method)
    yield (
        f"numbers of a voxel grid of equal resolution ({resolution}³): {resolution**3}, "
        f"{_times(total, resolution**3)}"
    )


def equal_resolution(method: ShapeMethod) -> int:
    """Cells along the longest side of a grid that would show as much detail.

    That is the finest level of a hash grid. A network without one is given as many as its mesh is
    extracted with by default, half of that where it learns many shapes.
    """
    finest = getattr(method.config, "finest", 0)
    return int(finest) or (128 if method.is_family else 256)


def _times(ours: float, theirs: float) -> str:
    if theirs >= ours:
        return f"{theirs / ours:.3g} times as many"
    return f"{ours / theirs:.3g} times fewer than the field's"


def _describe_run(run: RunFolder) -> Iterator[str]:
    record = run.read_record()
    yield f"run: {run.path}"
    yield f"state: {record.state}" + (f" ({record.message})" if record.message else "")
    yield f"method: {record.method}, preset {record.preset}"
    if not learned_shapes(run):
        yield f"capture: {run.capture_path()}"
    yield f"trained: {record.steps} steps, {record.seconds:.1f} s on {record.device}"
    if record.psnr is not None:
        yield f"psnr: {record.psnr:.2f} dB on held-out views"
    changes = ", ".join(f"{name}={value}" for name, value in record.config.items())
    yield f"settings: {changes}"
    if last_checkpoint(run.checkpoints):
        checkpoint = load_checkpoint(run.checkpoints)
        size = sum(tensor.nbytes for tensor in checkpoint.state.values())
        count = sum(tensor.numel() for tensor in checkpoint.state.values())
        if learned_shapes(run):
            yield from _describe_shapes(run, checkpoint)
        else:
            low, high = (np.array(corner) for corner in checkpoint.config["bounds"])
            yield f"bounds: {_corner(low)} to {_corner(high)}"
        yield f"checkpoint: step {checkpoint.progress.step}, {count} numbers, {size / 1e6:.1f} MB"
    outputs = sorted(path.name for path in run.outputs.iterdir()) if run.outputs.is_dir() else []
    yield f"outputs: {', '.join(outputs) if outputs else 'none yet'}"
