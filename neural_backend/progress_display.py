# SPDX-License-Identifier: GPL-3.0-or-later
"""A job's events for people: bars on a terminal, now and then a line in a log."""

import sys
import time
from types import TracebackType
from typing import Any

from .protocol.messages import (
    CaptureChecked,
    Converted,
    Evaluated,
    Event,
    FrameReady,
    FramesExtracted,
    ImageFitted,
    Inspected,
    LatentFitted,
    MeshReady,
    MeshSequenceReady,
    MotionBaked,
    Progress,
    Released,
    ShapesFitted,
    Trained,
    ViewsReady,
    VolumeReady,
    Warned,
)

LINE_EVERY_S = 5.0
"""How often a log, which cannot show a moving bar, gets a line."""


class ProgressDisplay:
    """Shows the progress of one job on stderr: a bar for each stage; nothing where it is quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._stage, self._lined_at = "", 0.0

    def __enter__(self) -> "ProgressDisplay":
        if sys.stderr.isatty() and not self._quiet:
            self._bars = _bars()
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: Event) -> None:
        if self._quiet:
            return
        if isinstance(event, Warned):
            self.say(f"Warning: {event.message}")
        elif isinstance(event, Progress) and self._bars is not None:
            self._move_bar(event)
        elif isinstance(event, Progress):
            self._write_line(event)

    def say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")

    def _move_bar(self, event: Progress) -> None:
        if event.stage not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, eta="")
            self._tasks[event.stage] = self._bars.add_task(
                event.stage, total=event.total or None, count="", eta="", figures=""
            )
        self._bars.update(
            self._tasks[event.stage],
            completed=event.done,
            total=event.total or None,
            count=_count(event),
            eta=_eta(event),
            figures=_figures(event),
        )

    def _write_line(self, event: Progress) -> None:
        now = time.monotonic()
        finished = event.done >= event.total > 0
        due = now - self._lined_at >= LINE_EVERY_S or finished or event.psnr is not None
        if event.stage == self._stage and not due:
            return
        self._stage, self._lined_at = event.stage, now
        parts = (event.stage, _count(event), _eta(event), _figures(event))
        sys.stderr.write("  ".join(part for part in parts if part) + "\n")
        sys.stderr.flush()


def sentence(event: Event) -> str:
    """What a finished job has to say."""
    if isinstance(event, Trained):
        psnr = "" if event.psnr is None else f", {event.psnr:.2f} dB on held-out views"
        steps = f"{event.steps} steps, {event.seconds:.1f} s{psnr}"
        return f"Trained {event.method} ({steps}) into {event.run}"
    if isinstance(event, ViewsReady):
        video = f", video {event.video}" if event.video else ""
        return f"Rendered {len(event.files)} pictures into {event.output}{video}"
    if isinstance(event, FrameReady):
        return (
            f"Wrote {event.output} ({event.width} × {event.height} pixels, {event.seconds:.2f} s)"
        )
    if isinstance(event, Released):
        return f"Freed the memory of {event.num_fields} fields"
    if isinstance(event, ShapesFitted):
        known = event.shapes[0] if len(event.shapes) == 1 else f"{len(event.shapes)} shapes"
        steps = f"{event.steps} steps, {event.seconds:.1f} s"
        return f"Learned {known} by {event.method} ({steps}) into {event.run}"
    if isinstance(event, LatentFitted):
        error = f"{event.error:.3g} from its surface on average, {event.seconds:.1f} s"
        return f"Found {event.name} ({error}); it is now a shape of {event.run}"
    if isinstance(event, ImageFitted):
        size = f"{event.width} × {event.height} pixels, PSNR {event.psnr:.2f} dB"
        return f"Wrote {event.output} ({size}, learned in {event.seconds:.1f} s)"
    if isinstance(event, MeshReady):
        size = f"{event.num_vertices} vertices, {event.num_faces} faces"
        return f"Wrote {event.output} ({size}, level {event.level:.3g})"
    if isinstance(event, MeshSequenceReady):
        size = f"up to {event.num_vertices} vertices, density level {event.level:.3g}"
        return f"Wrote {len(event.files)} meshes into {event.output} ({size})"
    if isinstance(event, MotionBaked):
        return f"Wrote {event.output} ({_baked(event)})"
    if isinstance(event, Evaluated):
        lpips = f", LPIPS {event.lpips:.4f}" if event.lpips >= 0 else ""
        figures = f"PSNR {event.psnr:.2f} dB, SSIM {event.ssim:.4f}{lpips}"
        return f"{figures} over {event.num_views} views; details in {event.output}"
    if isinstance(event, Inspected):
        return "\n".join(event.lines)
    if isinstance(event, Converted):
        return f"Wrote {event.num_views} views to {event.output}"
    if isinstance(event, CaptureChecked):
        found = "\n".join(event.sentences) or "Nothing stands in the way of learning from it."
        return f"{event.capture}: {event.num_views} views\n{found}"
    if isinstance(event, FramesExtracted):
        return f"Wrote {len(event.files)} pictures into {event.output}"
    if isinstance(event, VolumeReady):
        size = f"voxels of {event.voxel_size:.3g}, {100 * event.share_filled:.2g} % of them filled"
        return f"Wrote {len(event.files)} grids into {event.output} ({size})"
    return event.type


def _baked(event: MotionBaked) -> str:
    """How well a warp was inverted."""
    return (
        f"{len(event.frames)} frames of {event.num_vertices} vertices; they miss their places by "
        f"{event.residual_mean:.2g} on average and {event.residual_max:.2g} at most, "
        f"{100 * event.share_missed:.2g} % by more than the tolerance"
    )


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = ("[bold]{task.description}", "{task.fields[count]}", "{task.fields[eta]}")
    bar = BarColumn(bar_width=30)
    texts = [TextColumn(text) for text in (*columns, "[dim]{task.fields[figures]}")]
    return Bars(texts[0], bar, *texts[1:], console=Console(stderr=True), transient=False)


def _count(event: Progress) -> str:
    if event.total <= 0 or not event.unit:
        return ""
    if event.unit == "seconds":
        return f"{event.done:.0f}/{event.total:.0f} s"
    return f"{event.done:.0f}/{event.total:.0f} {event.unit}"


def _eta(event: Progress) -> str:
    if event.eta_s < 0 or event.done >= event.total:
        return ""
    minutes, seconds = divmod(round(event.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min left"
    return f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"


def _figures(event: Progress) -> str:
    loss = "" if event.loss is None else f"loss {event.loss:.3g}"
    psnr = "" if event.psnr is None else f"{event.psnr:.2f} dB"
    return "  ".join(part for part in (loss, psnr) if part)
