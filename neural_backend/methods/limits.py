# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers make sense in a configuration, said beside each field.

`width: Annotated[int, Limits(4, 512, multiple_of=4)] = 64`, or `Annotated[tuple[int, ...],
Limits(4, 768)]`, where each item is meant. What several methods share has a name here.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Limits:
    """Numbers from `least` to `most`, both allowed, or to anything less than `below`.

    What is no number, infinity included, is never allowed.
    """

    least: float
    most: float = math.inf
    below: float = math.inf
    multiple_of: int = 0

    def allow(self, number: float) -> bool:
        """Whether a number is one of these."""
        inside = self.least <= number <= self.most and number < self.below
        return inside and (not self.multiple_of or number % self.multiple_of == 0)

    def __str__(self) -> str:
        kind = f"a multiple of {self.multiple_of} " if self.multiple_of else ""
        end = _text(self.most) if self.most < self.below else f"less than {_text(self.below)}"
        return f"{kind}from {_text(self.least)} to {end}"


def _text(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def limits_of(kind: "type[DataclassInstance]") -> dict[str, Limits]:
    """The limits of those fields of a configuration that have any, by name."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: _limits_in(hint) for name, hint in hints.items()}
    return {name: limits for name, limits in found.items() if limits is not None}


def _limits_in(hint: Any) -> Limits | None:
    """Those of a number, or of each item of a tuple."""
    if get_origin(hint) is Annotated:
        told = (part for part in hint.__metadata__ if isinstance(part, Limits))
        return next(told, None)
    return next((found for part in get_args(hint) if (found := _limits_in(part))), None)


NumSteps = Annotated[int, Limits(1, 10**9)]
LearningRate = Annotated[float, Limits(1e-8, 1.0)]
"""Of learning, where it falls from one to another by factors: none may be zero."""
LearningRateOrZero = Annotated[float, Limits(0.0, 1.0)]
"""Of learning, where 0 means that nothing is learned."""
Share = Annotated[float, Limits(0.0, 1.0)]
ShareBelowOne = Annotated[float, Limits(0.0, below=1.0)]
Weight = Annotated[float, Limits(0.0, 100.0)]
"""Of a part of the loss."""
Octaves = Annotated[int, Limits(0, 16)]
"""Waves of doubling frequency; finer ones single precision does not tell apart."""
Width = Annotated[int, Limits(1, 2048)]
"""Channels of a layer that torch multiplies."""
SkipDepth = Annotated[int, Limits(3, 32)]
"""Layers of a network, one of which the input joins anew."""
NumRays = Annotated[int, Limits(1, 2**16)]
NumPoints = Annotated[int, Limits(1, 2**18)]
NumPointsOrZero = Annotated[int, Limits(0, 2**18)]

Levels = Annotated[int, Limits(1, 32)]
FeaturesPerLevel = Annotated[int, Limits(2, 4, multiple_of=2)]
Log2Entries = Annotated[int, Limits(4, 24)]
"""Of a level of a hash grid; the kernels number the rows of all levels with 31 bits."""
LevelResolution = Annotated[int, Limits(1, 2**15)]
"""Cells of a level along each side; the kernels number those of a face with 31 bits."""


def refuse_more(config: "DataclassInstance", smaller: str, larger: str) -> None:
    """Raises ValueError where one setting is more than another."""
    first, second = getattr(config, smaller), getattr(config, larger)
    if first > second:
        raise ValueError(f"{smaller} must not be more than {larger}, got {first} and {second}")


def refuse_no_points(config: "DataclassInstance", *kinds: str) -> None:
    """Raises ValueError where a step would draw no points of any kind."""
    if not any(getattr(config, kind) for kind in kinds):
        raise ValueError(f"{' and '.join(kinds)} must not both be 0")
