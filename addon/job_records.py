# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a job from its submission on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .training_notes import TrainingNotes
from .worker.protocol import messages
from .worker.terminal import ProgressBar

JobState = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Target:
    """Where in the open file a job's result belongs, by numbers that survive undo and renaming."""

    scene: int = 0
    field: int = 0
    camera: int = 0
    mesh: int = 0


@dataclass
class JobRecord:
    """One job from its submission on; `answer` is its final event."""

    job: messages.Job
    label: str
    target: Target
    state: JobState = "running"
    progress: messages.Progress | None = None
    warnings: list[str] = field(default_factory=list)
    answer: messages.Event | None = None
    cancel_asked: bool = False
    problem: str = ""
    note: str = ""
    """What there is to say of a result that was brought in."""
    bar: ProgressBar | None = None
    then: Callable[["JobRecord"], None] | None = None
    """Called once the job is done; what it raises becomes the problem."""
    training: TrainingNotes = field(default_factory=TrainingNotes)
    key: str = ""
    """What the job is for, where a newer one makes an older one needless; see `schedule`."""


@dataclass(frozen=True)
class Scheduled:
    """What is to be started once the clock, `time.monotonic`, has reached `due_s`."""

    due_s: float
    start: Callable[[], None]
    after: str = ""
    """Another key, of which nothing may be scheduled or running any more."""
