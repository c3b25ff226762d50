# SPDX-License-Identifier: GPL-3.0-or-later
"""Solids as JSON: {"type": "union", "parts": [{"type": "sphere", "radius": 1}, …]}."""

import json
import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from ..protocol.errors import JobError
from .analytic_shapes import Box, Capsule, Cone, Cylinder, Plane, RoundedBox, Sphere, Torus
from .csg import (
    Difference,
    FileShape,
    Intersection,
    Moved,
    Offset,
    Placed,
    Shell,
    Union,
)
from .gaussian_mixture import GaussianMixture
from .shape import Shape

SHAPES: dict[str, type[Shape]] = {
    kind.type: kind
    for kind in (
        Sphere,
        Box,
        RoundedBox,
        Torus,
        Cylinder,
        Cone,
        Capsule,
        Plane,
        GaussianMixture,
        Union,
        Intersection,
        Difference,
        Placed,
        Moved,
        Offset,
        Shell,
        FileShape,
    )
}

_DEEPEST = 100


def shape_to_dict(shape: Shape) -> dict[str, Any]:
    """JSON values that describe a solid.

    Raises:
        ValueError: for a solid without a description, such as a function.
    """
    if SHAPES.get(shape.type) is not type(shape):
        raise ValueError(f"a {shape.type} shape has no description")
    values = {one.name: getattr(shape, one.name) for one in fields(shape)}  # type: ignore[arg-type]
    return {"type": shape.type, **{name: _as_json(value) for name, value in values.items()}}


def shape_from_dict(values: Any, place: str = "the shape") -> Shape:
    """The solid that JSON values describe; `place` names them in complaints.

    Raises:
        JobError: where a type or field is unknown, missing or of the wrong kind, or its value
            impossible.
    """
    return _shape(values, place, 0)


def read_shape(path: Path) -> Shape:
    """The solid that a .json file describes. Paths in it are seen from the file's folder.

    Raises:
        JobError: where the file is unreadable or describes no solid.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError(f"There is no file {path}.", "Check the path.") from None
    except (ValueError, RecursionError) as error:
        raise JobError(f"{path.name} is no JSON: {error}.", "Correct the file.") from None
    return shape_from_dict(values, path.name)


def _shape(values: Any, place: str, depth: int) -> Shape:
    if depth > _DEEPEST:
        raise JobError(f"{place} is nested more than {_DEEPEST} deep.", "Join its parts in fewer.")
    if not isinstance(values, dict):
        raise _wrong(place, 'a shape such as {"type": "sphere", "radius": 1}', values)
    name = values.get("type")
    kind = SHAPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise JobError(
            f"{place} has the unknown type {name!r}.",
            f"Choose one of {', '.join(SHAPES)}.",
        )
    hints = get_type_hints(kind)
    known = {one.name: hints[one.name] for one in fields(kind)}  # type: ignore[arg-type]
    given = {name: value for name, value in values.items() if name != "type"}
    for name in given:
        if name not in known:
            raise JobError(
                f"{place}, a {kind.type}, has no {name!r}.",
                f"It has {', '.join(known) or 'nothing to set'}.",
            )
    for one in fields(kind):  # type: ignore[arg-type]
        if one.default is MISSING and one.name not in given:
            raise JobError(f"{place}, a {kind.type}, lacks {one.name!r}.", "Add it.")
    made = {
        name: _value(value, known[name], f"{place}.{name}", depth) for name, value in given.items()
    }
    try:
        return kind(**made)
    except ValueError as error:
        raise JobError(f"{place}: {error}.", "Correct the description.") from None


def _value(value: Any, hint: Any, place: str, depth: int) -> Any:
    if hint is Shape:
        return _shape(value, place, depth + 1)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise _wrong(place, "a list", value)
        inner = hint.__args__[0]
        return tuple(
            _value(item, inner, f"{place}[{number}]", depth) for number, item in enumerate(value)
        )
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(place, "a number", value)
        if not math.isfinite(value):
            raise _wrong(place, "a finite number", value)
        return float(value)
    if type(value) is not hint:
        raise _wrong(place, "a text" if hint is str else "a whole number", value)
    return value


def _wrong(place: str, expected: str, value: Any) -> JobError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return JobError(f"{place} must be {expected}, not {shown}.", "Correct the description.")


def _as_json(value: Any) -> Any:
    if isinstance(value, Shape):
        return shape_to_dict(value)
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return value
