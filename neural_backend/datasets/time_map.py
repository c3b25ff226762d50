# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a timeline a capture's times are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeMap:
    """Time 0 is at `frame_start`, time 1 at `frame_end`.

    Raises:
        ValueError: where both are one frame, so that no frame but one would have a time.
    """

    frame_start: int
    frame_end: int

    def __post_init__(self) -> None:
        if self.frame_start == self.frame_end:
            raise ValueError(f"expected two different frames, got {self.frame_start} twice")

    def time_of(self, frame: float) -> float:
        """The time at a frame; before and after the map it stands still at 0 or 1."""
        time = (frame - self.frame_start) / (self.frame_end - self.frame_start)
        return min(1.0, max(0.0, time))

    @property
    def frames(self) -> range:
        """Every frame of the map in the order of time."""
        step = 1 if self.frame_end > self.frame_start else -1
        return range(self.frame_start, self.frame_end + step, step)
