# SPDX-License-Identifier: GPL-3.0-or-later
"""One training loop for every method."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..kernels import process_group, triton_use
from ..protocol.errors import JobError
from .checkpoint import SavedProgress

SMALLEST_SHARE = 1 / 64
RATE_WINDOW_S = 8.0
"""The remaining time is told from the speed over this long: steps slow down as a field grows."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; `fraction` runs from 0 to 1 whatever the budget is.

    `share` is less than 1 where memory was too small for whole steps.
    """

    step: int
    fraction: float
    share: float = 1.0

    def part_of(self, count: int) -> int:
        """How many rays or points to take in a step that would take `count`."""
        return max(1, int(self.share * count))


class Trainable(Protocol):
    """What the loop needs of a method; it may have `warm_up()`, called before the clock runs."""

    def prepare(self, batches: Any) -> None: ...

    def train_step(
        self, batches: Any, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """A budget in steps, in seconds, or both: then whichever ends first.

    Seconds count `prepare` and the steps, but neither compiling, saving nor measuring.
    `checkpoint_seconds` of 0 saves only at the end. `evaluate_at` are fractions of the budget.
    """

    steps: int = 0
    seconds: float = 0.0
    seed: int = 0
    checkpoint_seconds: float = 30.0
    report_seconds: float = 0.25
    evaluate_at: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.seconds <= 0:
            raise ValueError("expected a budget in steps or seconds, got neither")


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What the loop yields a few times a second; `eta_s` is -1 while unknown."""

    stage: str
    step: int
    fraction: float
    seconds: float
    eta_s: float = -1.0
    loss: float | None = None
    psnr: float | None = None


class Stopwatch:
    """Seconds while it runs; it stands still between `pause` and `go`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._counted = seconds
        self._started: float | None = None

    def go(self) -> None:
        if self._started is None:
            self._started = time.perf_counter()

    def pause(self) -> None:
        self._counted, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._counted + running


def train(
    method: Trainable,
    batches: Any,
    config: TrainerConfig,
    save: Callable[[SavedProgress], None],
    measure: Callable[[], float | None] | None = None,
    resume: SavedProgress | None = None,
) -> Generator[TrainingReport, None, None]:
    """Trains `method` until the budget is spent, and saves it.

    The clock stands still while the caller holds a report. Closing the iterator saves what was
    learned so far. With a budget in steps, a training that resumes from `save`'s progress takes the
    same steps that an uninterrupted one would have taken.

    Raises:
        JobError: where the loss is no number any more; nothing is saved then.
    """
    training = _Training(method, batches, config, save, measure, resume)
    try:
        yield from training.begin(fresh=resume is None)
        yield from training.steps()
    except GeneratorExit:
        training.save_if_new()
        raise
    training.save_if_new()


class _Training:
    """The state of one call of `train`."""

    def __init__(
        self,
        method: Trainable,
        batches: Any,
        config: TrainerConfig,
        save: Callable[[SavedProgress], None],
        measure: Callable[[], float | None] | None,
        resume: SavedProgress | None,
    ) -> None:
        self.method, self.batches, self.config = method, batches, config
        self.save, self.measure = save, measure
        self.generator = torch.Generator()
        if resume is None:
            self.generator.manual_seed(config.seed)
        else:
            self.generator.set_state(resume.generator)
        self.step = self.saved_step = resume.step if resume else 0
        self.clock = Stopwatch(resume.seconds if resume else 0.0)
        self.saved_at = self.clock.seconds
        self.loss: float | Tensor = math.nan
        self.share = 1.0
        fraction = self.fraction()
        self.evaluate_at = deque(sorted(at for at in config.evaluate_at if at > fraction))
        self.recent: deque[tuple[float, float]] = deque([(self.clock.seconds, fraction)])

    def fraction(self) -> float:
        parts = [0.0]
        if self.config.steps > 0:
            parts.append(self.step / self.config.steps)
        if self.config.seconds > 0:
            parts.append(self.clock.seconds / self.config.seconds)
        return min(max(parts), 1.0)

    def _agreed_fraction(self) -> float:
        """By the clock of the first of the processes that learn together."""
        fraction = self.fraction()
        return process_group.first_says(fraction) if self.config.seconds > 0 else fraction

    def begin(self, fresh: bool) -> Iterator[TrainingReport]:
        warm_up = getattr(self.method, "warm_up", None)
        if warm_up is not None:
            yield self._report("compiling kernels, once")
            try:
                warm_up()
            except Exception as error:
                if not triton_use.give_up(error):
                    raise
                yield self._report("going on without Triton's kernels, which failed")
                warm_up()
        if fresh:
            yield self._report("preparing")
            self.clock.go()
            self.method.prepare(self.batches)
            self.clock.pause()

    def steps(self) -> Iterator[TrainingReport]:
        yield self._report("training")
        self.clock.go()
        reported_at = self.clock.seconds
        while (fraction := self._agreed_fraction()) < 1:
            values = self._step_or_nothing(TrainingProgress(self.step, fraction, self.share))
            if values is None:
                self.clock.pause()
                yield self._take_smaller_steps()
                self.clock.go()
                continue
            self.loss = values["loss"]
            self.step += 1
            if not isinstance(self.loss, Tensor):
                self._check_loss()
            now = self.clock.seconds
            saving = 0 < self.config.checkpoint_seconds <= now - self.saved_at
            measuring = bool(self.evaluate_at) and self.fraction() >= self.evaluate_at[0]
            if now - reported_at < self.config.report_seconds and not (saving or measuring):
                continue
            self._check_loss()  # waits for the device, so before the clock stops
            self.clock.pause()
            if saving:
                self.save_if_new()
            yield self._report("training", psnr=self._measured() if measuring else None)
            reported_at = self.clock.seconds
            self.clock.go()
        if self.step > self.saved_step:
            self._check_loss()
        self.clock.pause()
        yield self._report("training")

    def _step_or_nothing(self, progress: TrainingProgress) -> dict[str, float | Tensor] | None:
        """A step of the method; None where memory was too small and a smaller one may fit.

        What the failed step held is free only when its error is gone, so after this has returned.
        """
        try:
            return self.method.train_step(self.batches, progress, self.generator)
        except torch.OutOfMemoryError:
            # Processes that learn together must take steps of one size.
            if self.share <= SMALLEST_SHARE or process_group.size() > 1:
                raise
            return None

    def _take_smaller_steps(self) -> TrainingReport:
        self.share /= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._report("training with fewer rays a step, as memory was full")

    def save_if_new(self) -> None:
        """Saves unless there is nothing that the last checkpoint does not have."""
        if self.step > self.saved_step:
            progress = SavedProgress(
                step=self.step,
                seconds=self.clock.seconds,
                seed=self.config.seed,
                generator=self.generator.get_state(),
            )
            self.save(progress)
            self.saved_step, self.saved_at = self.step, self.clock.seconds

    def _check_loss(self) -> None:
        self.loss = float(self.loss)
        if not math.isfinite(self.loss):
            raise JobError(
                f"The training fell apart: the loss of step {self.step} is {self.loss}.",
                "The last good checkpoint is kept; try another seed or gentler settings.",
            )

    def _measured(self) -> float | None:
        fraction = self.fraction()
        while self.evaluate_at and self.evaluate_at[0] <= fraction:
            self.evaluate_at.popleft()
        return None if self.measure is None else self.measure()

    def _report(self, stage: str, psnr: float | None = None) -> TrainingReport:
        loss = float(self.loss)
        return TrainingReport(
            stage=stage,
            step=self.step,
            fraction=self.fraction(),
            seconds=self.clock.seconds,
            eta_s=self._remaining_s(),
            loss=loss if math.isfinite(loss) else None,
            psnr=psnr,
        )

    def _remaining_s(self) -> float:
        now, fraction = self.clock.seconds, self.fraction()
        while len(self.recent) > 1 and now - self.recent[1][0] > RATE_WINDOW_S:
            self.recent.popleft()
        then, before = self.recent[0]
        self.recent.append((now, fraction))
        if fraction >= 1:
            return 0.0
        return (1 - fraction) * (now - then) / (fraction - before) if fraction > before else -1.0
