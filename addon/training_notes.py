# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a training while it runs, beside what is noted of every job."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Sample:
    """A point of a training's curves; `share` of the budget is spent."""

    share: float
    loss: float | None
    psnr: float | None


Ending = Literal["", "pause", "keep", "discard"]
"""What is to become of a training that is being stopped."""


@dataclass
class TrainingNotes:
    """Empty for jobs that do not train."""

    ending: Ending = ""
    curve: list[Sample] = field(default_factory=list)
    preview: str = ""
    """Path of the newest preview picture."""
    is_listed: bool = False
    """Whether its run was looked for on disk since it began."""
