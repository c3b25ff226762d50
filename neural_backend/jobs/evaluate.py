# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares rendered views with the pictures that were taken there.

As in the papers, transparent pictures are compared in front of white.
"""

import re
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.images import LoadedViews
from ..methods.base import Method
from ..protocol.errors import JobError
from ..protocol.messages import Evaluate, Evaluated, Event, Progress, Warned
from ..rendering.image import RenderedImage
from ..training.metrics import load_lpips, psnr, ssim
from .devices import choose_device
from .field_views import render_field
from .pictures import load_pictures
from .run_capture import load_run_capture
from .run_folder import RunFolder, write_json, write_text
from .trained_method import load_method
from .view_files import write_png

_TELL_EVERY_S = 0.25

ERROR_OF_WHITE = 0.25
"""Error, of colors in [0, 1], that the error pictures show as white."""

_HEAT = np.array(
    [(0.0, 0.0, 0.02), (0.33, 0.06, 0.43), (0.73, 0.21, 0.33), (0.98, 0.56, 0.04), (1.0, 1.0, 0.9)]
)


@dataclass(frozen=True, kw_only=True)
class ViewScores:
    """How close a view is to its picture; NaN where nothing of the picture is to be compared."""

    name: str
    psnr: float
    ssim: float
    lpips: float
    seconds: float


def run(job: Evaluate) -> Generator[Event, None, None]:
    """Renders and measures every view of a split.

    Raises:
        JobError: where the split has no views.
    """
    run_folder = RunFolder.open(job.run)
    capture = load_run_capture(run_folder)
    chosen = capture.select(lambda view: view.split == job.split)
    if not chosen.views:
        there = sorted({view.split for view in capture.views})
        raise JobError(
            f"The capture has no views in its split {job.split!r}.", f"It has {', '.join(there)}."
        )
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "evaluation"
    output = output.absolute()
    loaded = yield from load_pictures(chosen, run_folder.read_record().image_width, job.job_id)
    for warning in loaded.warnings:
        yield Warned(job_id=job.job_id, message=warning)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    rows = yield from _compare(job, method, loaded, output)
    mean = _mean(rows)
    if np.isnan(mean.psnr):
        raise JobError(
            f"The masks leave nothing to compare in the split {job.split!r}.", "Check the masks."
        )
    output.mkdir(parents=True, exist_ok=True)
    values = {"split": job.split, "num_views": len(rows), "mean": _json(mean)}
    write_json(output / "metrics.json", {**values, "views": [_json(row) for row in rows]})
    write_text(output / "metrics.md", _table([*rows, mean]))
    yield Evaluated(
        job_id=job.job_id,
        output=str(output),
        num_views=len(rows),
        psnr=mean.psnr,
        ssim=mean.ssim,
        lpips=-1.0 if np.isnan(mean.lpips) else mean.lpips,
    )


def _compare(
    job: Evaluate, method: Method, loaded: LoadedViews, output: Path
) -> Generator[Event, None, list[ViewScores]]:
    lpips = load_lpips(method.device)
    rows: list[ViewScores] = []
    started, told = time.monotonic(), 0.0
    for index, view in enumerate(loaded.views):
        appearance = index if job.split == "train" else None
        began = time.monotonic()
        tiles = render_field(method, view, appearance=appearance)
        while True:
            try:
                share = next(tiles)
            except StopIteration as finished:
                rendered: RenderedImage = finished.value
                break
            now = time.monotonic()
            # A view counts as done once its files are there.
            if now - told >= _TELL_EVERY_S and share < 1:
                told = now
                yield _progress(job, index + share, len(loaded.views), now - started)
        seconds = time.monotonic() - began
        ignored = loaded.ignore_mask(index)
        valid = None if ignored is None else ~ignored
        truth, image = over_white(loaded.image(index)), rendered.over(1.0)
        rows.append(
            ViewScores(
                name="/".join(Path(view.name).parts[-2:]),
                psnr=psnr(image, truth, valid),
                ssim=ssim(image, truth, valid),
                lpips=float("nan") if lpips is None else lpips(image, truth),
                seconds=round(seconds, 3),
            )
        )
        if job.images:
            name = re.sub(r"[^\w.-]+", "_", Path(view.name).stem)
            comparison = compared(image, truth, valid)
            write_png(output / f"{index:04d}_{name}.png", comparison)
        yield _progress(job, index + 1, len(loaded.views), time.monotonic() - started)
    return rows


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture (height, width, 4) of straight alpha in front of white, in [0, 1]."""
    values = rgba.astype(np.float32) / 255
    return values[..., :3] * values[..., 3:] + 1 - values[..., 3:]


def compared(
    image: NDArray[np.float32], truth: NDArray[np.float32], valid: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Rendered, truth and error side by side, as (height, 3 · width, 4); ignored is left clear."""
    error = np.abs(image - truth).mean(axis=-1) / ERROR_OF_WHITE
    stops = np.linspace(0, 1, len(_HEAT))
    heat = np.stack([np.interp(error, stops, channel) for channel in _HEAT.T], axis=-1)
    opaque = np.ones(image.shape[:2]) if valid is None else valid.astype(np.float64)
    panels = [
        np.concatenate([panel, alpha[..., None]], axis=-1)
        for panel, alpha in (
            (image, np.ones_like(opaque)),
            (truth, np.ones_like(opaque)),
            (heat, opaque),
        )
    ]
    return np.concatenate(panels, axis=1)


def _progress(job: Evaluate, done: float, total: int, seconds: float) -> Progress:
    return Progress(
        job_id=job.job_id,
        stage="comparing views",
        done=done,
        total=total,
        unit="views",
        seconds=seconds,
        eta_s=seconds * (total - done) / done if done else -1.0,
    )


def _mean(rows: list[ViewScores]) -> ViewScores:
    def mean(values: list[float]) -> float:
        known = [value for value in values if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    return ViewScores(
        name="mean",
        psnr=mean([row.psnr for row in rows]),
        ssim=mean([row.ssim for row in rows]),
        lpips=mean([row.lpips for row in rows]),
        seconds=round(mean([row.seconds for row in rows]), 3),
    )


def _json(row: ViewScores) -> dict[str, float | str | None]:
    """JSON knows no NaN."""
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in asdict(row).items()
    }


def _table(rows: list[ViewScores]) -> str:
    lines = ["| view | PSNR | SSIM | LPIPS |", "|---|---|---|---|"]
    for row in rows:
        cells = (f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.lpips:.4f}")
        shown = " | ".join("–" if cell == "nan" else cell for cell in cells)
        lines.append(f"| {row.name} | {shown} |")
    return "\n".join(lines) + "\n"
