# SPDX-License-Identifier: GPL-3.0-or-later
"""The elements of a structured implicit function as a file: read, moved by hand, and shown again.

`elements.json` holds, in scene units, a list of `center`, `radii`, `rotation` (w, x, y, z) and
`constant` for each: an ellipsoid that an artist can see and move.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.shape_set import ShapeFrame
from ..fields.structured_implicit import Element
from ..methods.shape_base import ShapeMethod
from ..methods.structured_implicit import StructuredImplicit
from ..protocol.errors import JobError
from .run_folder import write_json

_ROUNDING = 1e-3
"""Of places and sizes in the unit frame that an artist has not touched."""


def write_elements(method: StructuredImplicit, frame: ShapeFrame, file: Path) -> None:
    """Writes what the method has learned, in scene units."""
    placed = [_placed(element, frame) for element in method.network.elements()]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"elements": [asdict(element) for element in placed]})


def read_elements(file: Path) -> list[Element]:
    """What such a file holds.

    Raises:
        JobError: where it is missing or damaged.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["elements"]
        return [
            Element(
                _numbers(one["center"], 3),
                _numbers(one["radii"], 3),
                _numbers(one["rotation"], 4),
                float(one["constant"]),
            )
            for one in values
        ]
    except OSError as error:
        raise JobError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(
            f"{file} holds no elements: {type(error).__name__} {error}.",
            "Start from the elements.json that the fitting wrote.",
        ) from error


@contextmanager
def moved_elements(
    method: ShapeMethod, frame: ShapeFrame, file: Path
) -> Generator[None, None, None]:
    """While this lasts the method shows the elements of a file.

    Raises:
        JobError: where the method has no elements, or those of the file do not fit.
    """
    if not isinstance(method, StructuredImplicit):
        raise JobError(
            f"{method.name} has no elements that could be moved.",
            "Fit the mesh with structured_implicit.",
        )
    unit = ShapeFrame(_triple(-np.array(frame.center) / frame.scale), 1 / frame.scale)
    learned = method.state()
    try:
        before = method.network.elements()
        method.network.set_elements([_placed(one, unit) for one in read_elements(file)])
        if not _are_alike(before, method.network.elements()):
            # What was moved may have left the learned shape's box. As long as nothing was, what
            # lies beyond it was never learned and is not shown.
            method.network.bounds.copy_(method.network.reach())
        yield
    except ValueError as error:
        raise JobError(
            f"The elements of {file} do not fit: {error}.",
            "Change places, sizes and rotations, but keep all elements.",
        ) from error
    finally:
        method.load_state(learned)


def _are_alike(some: list[Element], others: list[Element]) -> bool:
    """Whether two lists are the same but for what a file and Blender round; a rotation has two
    quaternions.
    """

    def numbers(elements: list[Element]) -> NDArray[np.float64]:
        turns = np.array([one.rotation for one in elements])
        products = turns[:, :, None] * turns[:, None, :]
        rest = [(*one.center, *one.radii, one.constant) for one in elements]
        return np.concatenate([products.reshape(len(elements), -1), rest], axis=1)

    return np.allclose(numbers(some), numbers(others), rtol=_ROUNDING, atol=_ROUNDING)


def _placed(element: Element, frame: ShapeFrame) -> Element:
    center = np.array(frame.center) + frame.scale * np.array(element.center)
    radii = frame.scale * np.array(element.radii)
    return replace(element, center=_triple(center), radii=_triple(radii))


def _numbers(values: list[float], count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count:
        raise ValueError(f"expected {count} numbers, got {len(numbers)}")
    return numbers


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
