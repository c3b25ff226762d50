# SPDX-License-Identifier: GPL-3.0-or-later
"""One training loop for every method."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; `fraction` runs from 0 to 1 whatever the budget is."""

    step: int
    fraction: float
