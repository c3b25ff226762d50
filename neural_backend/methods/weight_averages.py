# SPDX-License-Identifier: GPL-3.0-or-later
"""Averages over the last steps, shown in the place of what the very last one left."""

from torch import Tensor


class WeightAverages:
    """Averages of some learned tensors, with which they change places while something is shown.

    At each step they keep the share `keep` of themselves and take the rest from what was learned;
    with a `keep` of 0 there are none. Who takes the steps keeps the averages (`of`).

    Source: Kingma and Ba 2015, "Adam", sec. 7.2; Müller et al. 2022, "Instant neural graphics
        primitives", whose program shows them too.
    """

    def __init__(self, learned: dict[str, Tensor], keep: float) -> None:
        if not 0 <= keep < 1:
            raise ValueError(f"expected average to be at least 0 and less than 1, got {keep}")
        self.keep = keep
        self._learned = learned if keep > 0 else {}
        self._averages = {name: value.clone() for name, value in self._learned.items()}
        self._are_shown = False

    def of(self, *names: str) -> tuple[Tensor, ...]:
        """The averages of these tensors, or nothing where there are none."""
        return tuple(self._averages[name] for name in names if name in self._averages)

    def show(self, shown: bool) -> bool:
        """Puts the averages into the learned tensors, or these back; says whether that changed
        anything. Nobody may learn while they are shown.
        """
        if not self._averages or shown == self._are_shown:
            return False
        for name, value in self._learned.items():
            average = self._averages[name]
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)
        self._are_shown = shown
        return True

    def state(self) -> dict[str, Tensor]:
        """The averages themselves, to be copied into and from; not while they are shown."""
        return {f"{name}_average": value for name, value in self._averages.items()}
