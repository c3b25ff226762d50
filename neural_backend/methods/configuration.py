# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict configurations: frozen dataclasses from JSON values and from `name=value` texts.

What a field's type and `Limits` do not allow is refused, and so is what a configuration itself
refuses: a `__post_init__` that raises ValueError says which settings contradict each other.
"""

import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..protocol.errors import JobError
from .limits import limits_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def config_from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """The configuration that `values` describe; absent fields keep their defaults.

    Raises:
        JobError: where a name is unknown, or a value does not have its field's type, is beyond its
            limits or contradicts another.
    """
    hints = get_type_hints(kind)
    for name in values:
        _refuse_unknown(kind, name)
    typed = {name: _checked(value, hints[name], name) for name, value in values.items()}
    return _within_limits(kind, typed, lambda: kind(**typed))


def apply_settings(config: Config, settings: Iterable[str]) -> Config:
    """`config` with changes written as `name=value`.

    Lists are written with commas (`1,2,3`), nothing as `none`.

    Raises:
        JobError: where a text is no `name=value`, a name is unknown or a value does not fit.
    """
    kind = type(config)
    hints = get_type_hints(kind)
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise JobError(
                f"The setting {setting!r} is not of the form name=value.", "Write name=value."
            )
        _refuse_unknown(kind, name)
        changes[name] = _checked(_parsed(text.strip(), hints[name]), hints[name], name)
    return _within_limits(kind, changes, lambda: replace(config, **changes))


def _refuse_unknown(kind: "type[DataclassInstance]", name: str) -> None:
    names = [field.name for field in fields(kind)]
    if name not in names:
        raise JobError(
            f"{kind.__name__} has no setting {name!r}.", f"Its settings are {', '.join(names)}."
        )


def _within_limits(
    kind: type[Config], values: dict[str, Any], build: Callable[[], Config]
) -> Config:
    """What `build` makes of values of the right types, unless they make no sense."""
    for name, limits in limits_of(kind).items():
        given = values.get(name)
        for number in given if isinstance(given, tuple) else (given,):
            if number is not None and not limits.allow(number):
                raise JobError(f"{name} must be {limits}, got {number}.", _usual(kind, name))
    try:
        return build()
    except ValueError as error:
        raise JobError(f"{error}.", "Change one of these settings.") from error


def _usual(kind: "type[DataclassInstance]", name: str) -> str:
    (default,) = (field.default for field in fields(kind) if field.name == name)
    if default is MISSING:
        return "Correct its value."
    usual = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"Its usual value is {usual}."


def for_case(config: Config, case: str) -> Config:
    """`config` with each setting that is called `…_case` in the place of the one without it."""
    ending = f"_{case}"
    values = {name: value for name, value in vars(config).items() if name.endswith(ending)}
    return replace(config, **{name.removesuffix(ending): at for name, at in values.items()})


def _parsed(text: str, hint: Any) -> Any:
    """The value that `text` stands for, or `text` itself, for `_checked` to refuse."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and types.NoneType in get_args(hint):
            return None
        choices = [choice for choice in get_args(hint) if choice is not types.NoneType]
        return next(
            (v for v in (_parsed(text, c) for c in choices) if not isinstance(v, str)), text
        )
    if origin is tuple:
        items = [item.strip() for item in text.split(",") if item.strip()]
        return [_parsed(item, get_args(hint)[0]) for item in items]
    if origin is Literal:
        return next((choice for choice in get_args(hint) if str(choice) == text), text)
    if hint is bool:
        lower = text.lower()
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            lower, text
        )
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            return text
    return text


def _checked(value: Any, hint: Any, name: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for choice in get_args(hint):
            try:
                return _checked(value, choice, name)
            except JobError:
                continue
    elif origin is tuple:
        kinds = get_args(hint)
        if isinstance(value, (list, tuple)):
            if len(kinds) == 2 and kinds[1] is Ellipsis:
                kinds = (kinds[0],) * len(value)
            if len(kinds) == len(value):
                return tuple(_checked(v, k, name) for v, k in zip(value, kinds, strict=True))
    elif origin is Literal:
        if value in get_args(hint):
            return value
    elif origin is dict:
        if isinstance(value, dict):
            return value
    elif hint is types.NoneType:
        if value is None:
            return None
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    wanted = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise JobError(f"The setting {name} must be {wanted}, got {value!r}.", "Correct its value.")
