# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns a field from a capture."""

import contextlib
import hashlib
import os
from collections.abc import Generator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from .. import __version__
from ..datasets.capture import Capture, View, distinct_times
from ..datasets.loading import load_capture
from ..datasets.ray_batches import RayBatches
from ..datasets.transforms_writing import write_transforms
from ..methods.base import Method
from ..methods.configuration import config_from_dict
from ..methods.registry import MethodRecipe, build_method, method_config, resolve_method
from ..protocol.errors import JobError
from ..protocol.messages import Event, Progress, Train, Trained, Warned
from ..training.checkpoint import (
    Checkpoint,
    SavedProgress,
    save_checkpoint,
)
from ..training.trainer import TrainerConfig, TrainingReport, train
from .devices import choose_device, start_device
from .held_out import HeldOut, some_held_out_views
from .many_processes import check_method
from .pictures import load_pictures
from .previews import Previews
from .run_folder import RunFolder, RunRecord
from .trained_method import forget_methods, keep_method, restore_method
from .training_run import mark_end, resumable, resumed_record


def run(job: Train, capture: Capture | None = None) -> Generator[Event, None, None]:
    """Trains into `job.run`; a capture in memory may stand in for the one at `job.capture`.

    Raises:
        JobError: for whatever the user can put right.
    """
    device = choose_device(job.device)
    forget_methods()
    folder, checkpoint = resumable(job)
    if job.resume and checkpoint is None:
        yield Warned(job_id=job.job_id, message=f"Nothing to resume in {job.run}: starting anew.")
    record = resumed_record(job, folder) if checkpoint else RunRecord()
    if capture is None:
        hold_out = record.hold_out if checkpoint else job.hold_out
        yield Progress(job_id=job.job_id, stage="reading the capture", done=0, total=1, unit="")
        capture = load_capture(job.capture, hold_out)
    for warning in capture.warnings:
        yield Warned(job_id=job.job_id, message=warning)
    if checkpoint is None:
        record = _fresh_record(job, device, capture)
    check_method(record.method)
    if checkpoint is None:
        folder = RunFolder.create(job.run)
    record = replace(
        record,
        state="training",
        process=os.getpid(),
        capture=folder.relative(Path(capture.source).absolute()),
        backend_version=__version__,
        device=str(device),
        message="",
    )
    try:
        folder.write_record(record)
        trained = yield from _Training(job, folder, record, capture, device).events(checkpoint)
    except (GeneratorExit, KeyboardInterrupt):
        mark_end(folder, state="cancelled")
        raise
    except Exception as error:
        mark_end(folder, state="failed", message=str(error))
        raise
    yield trained


def _fresh_record(job: Train, device: torch.device, capture: Capture) -> RunRecord:
    # What does not move in training needs no method that can.
    dynamic = bool(distinct_times(capture.split("train").views))
    method = resolve_method(job.method, device, capture.unbounded, dynamic)
    config = method_config(method, job.preset, job.settings, job.surfaces, device.type)
    return RunRecord(
        method=method,
        preset=job.preset,
        config=asdict(config),
        surfaces=job.surfaces,
        settings=job.settings,
        seed=job.seed,
        image_width=job.image_width,
        hold_out=job.hold_out,
        budget_steps=job.steps or (0 if job.seconds > 0 else config.steps),
        budget_seconds=job.seconds,
    )


def _digest(views: tuple[View, ...]) -> str:
    names = "\n".join(view.name for view in views)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


class _Training:
    """One training, from the pictures to the measured result."""

    def __init__(
        self,
        job: Train,
        folder: RunFolder,
        record: RunRecord,
        capture: Capture,
        device: torch.device,
    ) -> None:
        self.job, self.folder, self.record = job, folder, record
        self.capture, self.device = capture, device
        self.held_out: HeldOut | None = None
        self.method: Method
        self.recipe: MethodRecipe

    def events(self, checkpoint: Checkpoint | None) -> Generator[Event, None, Trained]:
        job_id, width = self.job.job_id, self.record.image_width
        write_transforms(self.capture, self.folder.capture_file)
        yield from start_device(self.device, job_id)
        pictures = yield from load_pictures(self.capture.split("train"), width, job_id)
        warnings = pictures.warnings
        held_out = some_held_out_views(self.capture)
        if held_out.views:
            seen = yield from load_pictures(held_out, width, job_id)
            self.held_out, warnings = HeldOut(seen, self.device), (*warnings, *seen.warnings)
        for warning in warnings:
            yield Warned(job_id=job_id, message=warning)
        if checkpoint is None:
            self._build(pictures.views)
        else:
            self._restore(checkpoint, pictures.views)
        report = yield from self._learn(RayBatches(pictures, self.device), checkpoint)
        return (yield from self._finish(report))

    def _build(self, views: tuple[View, ...]) -> None:
        self.recipe = MethodRecipe(
            method=self.record.method,
            config=self.record.config,
            bounds=tuple(tuple(map(float, corner)) for corner in self.capture.bounds),
            unbounded=self.capture.unbounded,
            num_views=len(views),
            times=distinct_times(views),
        )
        self.folder.update_record(views_digest=_digest(views))
        # Networks draw their first weights from torch's own generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.record.seed)
            self.method = build_method(self.recipe, self.device)

    def _restore(self, checkpoint: Checkpoint, views: tuple[View, ...]) -> None:
        self.recipe = config_from_dict(MethodRecipe, checkpoint.config)
        if self.record.views_digest != _digest(views):
            raise JobError(
                f"The run was trained on {self.recipe.num_views} views of the capture, and the "
                f"{len(views)} that it has now are not the same.",
                "Resume with the capture as it was, or train into a new folder.",
            )
        self.method = restore_method(checkpoint, self.device)
        self.folder.keep_metrics_until(checkpoint.progress.step)

    def _learn(
        self, batches: RayBatches, checkpoint: Checkpoint | None
    ) -> Generator[Event, None, TrainingReport]:
        evaluations = self.job.evaluations if self.held_out else 0
        config = TrainerConfig(
            steps=self.record.budget_steps,
            seconds=self.record.budget_seconds,
            seed=self.record.seed,
            checkpoint_seconds=self.job.checkpoint_seconds,
            evaluate_at=tuple((i + 1) / (evaluations + 1) for i in range(evaluations)),
        )
        resume = checkpoint.progress if checkpoint else None
        step = resume.step if resume else 0
        previews = Previews(self.job, self.capture, self.folder.previews)
        reports = train(self.method, batches, config, self._save, self._psnr, resume)
        with contextlib.closing(reports):
            for report in reports:
                if report.step > step and (report.fraction < 1 or self.held_out is None):
                    self._write_metrics(report)
                    step = report.step
                preview = ""
                if report.step and previews.due(report.seconds):
                    preview = previews.write(self.method, report.step, report.seconds)
                for problem in previews.problems():
                    yield Warned(job_id=self.job.job_id, message=problem)
                yield self._progress(report, preview)
        return report

    def _finish(self, report: TrainingReport) -> Generator[Event, None, Trained]:
        psnr = None
        if self.held_out is not None:
            yield self._progress(replace(report, stage="measuring held-out views"))
            psnr = self.held_out.psnr(self.method)
            self._write_metrics(replace(report, psnr=psnr))
        self.folder.update_record(
            state="trained", steps=report.step, seconds=report.seconds, psnr=psnr
        )
        keep_method(self.folder, self.method, self.device)
        return Trained(
            job_id=self.job.job_id,
            run=str(self.folder.path),
            method=self.record.method,
            steps=report.step,
            seconds=report.seconds,
            psnr=psnr,
        )

    def _save(self, progress: SavedProgress) -> None:
        state = self.method.state()
        save_checkpoint(self.folder.checkpoints, asdict(self.recipe), state, progress)
        self.folder.update_record(steps=progress.step, seconds=progress.seconds)

    def _psnr(self) -> float | None:
        return None if self.held_out is None else self.held_out.psnr(self.method)

    def _write_metrics(self, report: TrainingReport) -> None:
        values = {"step": report.step, "seconds": round(report.seconds, 4)}
        self.folder.append_metrics(values | {"loss": report.loss, "psnr": report.psnr})

    def _progress(self, report: TrainingReport, preview: str = "") -> Progress:
        in_steps = self.record.budget_steps > 0
        return Progress(
            job_id=self.job.job_id,
            stage=report.stage,
            done=report.step if in_steps else report.seconds,
            total=self.record.budget_steps if in_steps else self.record.budget_seconds,
            unit="steps" if in_steps else "seconds",
            seconds=report.seconds,
            eta_s=report.eta_s,
            loss=report.loss,
            step=report.step,
            psnr=report.psnr,
            preview=preview,
        )
