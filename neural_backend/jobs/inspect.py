# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes a capture or a run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..datasets.capture import Capture, View
from ..datasets.loading import load_capture
from ..protocol.messages import Event, Inspect, Inspected
from ..training.checkpoint import last_checkpoint, load_checkpoint
from .run_folder import RunFolder


def run(job: Inspect) -> Iterator[Event]:
    """Says what is in a folder, a line an item. Raises JobError where it is neither kind."""
    path = Path(job.path).expanduser()
    if (path / "run.json").is_file():
        lines = _describe_run(RunFolder.open(path))
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


def _describe_run(run: RunFolder) -> Iterator[str]:
    record = run.read_record()
    yield f"run: {run.path}"
    yield f"state: {record.state}" + (f" ({record.message})" if record.message else "")
    yield f"method: {record.method}, preset {record.preset}"
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
        low, high = (np.array(corner) for corner in checkpoint.config["bounds"])
        yield f"bounds: {_corner(low)} to {_corner(high)}"
        yield f"checkpoint: step {checkpoint.progress.step}, {count} numbers, {size / 1e6:.1f} MB"
    outputs = sorted(path.name for path in run.outputs.iterdir()) if run.outputs.is_dir() else []
    yield f"outputs: {', '.join(outputs) if outputs else 'none yet'}"
