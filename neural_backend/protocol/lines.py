# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as lines: one JSON object a line, with the protocol's version and the message's type."""

import json
import types
from dataclasses import MISSING, asdict, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import ProtocolError
from .messages import COMMANDS, EVENTS, JOBS, VERSION, Message

MAX_LINE_CHARACTERS = 1 << 24
"""Enough for the names of a hundred thousand files; anything longer is a runaway writer."""

MESSAGES: dict[str, type[Message]] = {kind.type: kind for kind in (*JOBS, *COMMANDS, *EVENTS)}

_FIELD_HINTS: dict[str, dict[str, Any]] = {
    name: {field.name: get_type_hints(kind)[field.name] for field in fields(kind)}
    for name, kind in MESSAGES.items()
}


def to_line(message: Message) -> str:
    """The line that says `message`, newline included.

    Raises:
        ProtocolError: where a field's value is not what the message's class says.
    """
    values = asdict(message)
    _checked(type(message), values)
    line = json.dumps({"version": VERSION, "type": message.type, **values}) + "\n"
    if len(line) > MAX_LINE_CHARACTERS:
        raise ProtocolError(
            f"{message.type} is {len(line)} characters long; {_limit()}", _job_id(values)
        )
    return line


def from_line(line: str) -> Message:
    """The message that `line` says.

    Raises:
        ProtocolError: where the line is too long, no JSON object, of another version, of an unknown
            type, or its fields are missing, unknown or of the wrong type.
    """
    if len(line) > MAX_LINE_CHARACTERS:
        raise ProtocolError(f"a line is {len(line)} characters long; {_limit()}")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"expected a JSON object, got {_shown(line)} ({error})") from None
    if not isinstance(values, dict):
        raise ProtocolError(f"expected a JSON object, got {_shown(line)}")
    job_id = _job_id(values)
    version, kind = values.pop("version", None), values.pop("type", None)
    if version != VERSION:
        raise ProtocolError(
            f"the other side speaks protocol version {version!r}, this side version {VERSION}; "
            "install the same release of Neural Fields on both sides",
            job_id,
        )
    if not isinstance(kind, str) or kind not in MESSAGES:
        raise ProtocolError(
            f"unknown message type {kind!r}; known are {', '.join(MESSAGES)}", job_id
        )
    return MESSAGES[kind](**_checked(MESSAGES[kind], values))


def _checked(kind: type[Message], values: dict[str, Any]) -> dict[str, Any]:
    job_id = _job_id(values)
    hints = _FIELD_HINTS[kind.type]
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise ProtocolError(
            f"{kind.type} has no field {unknown[0]!r}; it has {', '.join(hints)}", job_id
        )
    missing = [
        field.name
        for field in fields(kind)
        if field.name not in values and field.default is MISSING
    ]
    if missing:
        raise ProtocolError(f"{kind.type} lacks the field {missing[0]!r}", job_id)
    try:
        return {name: _converted(value, hints[name], name) for name, value in values.items()}
    except TypeError as error:
        raise ProtocolError(f"{kind.type}: {error}", job_id) from None


def _converted(value: Any, hint: Any, name: str) -> Any:
    """`value` as the type hint wants it; a whole number serves as a float, a list as a tuple."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for choice in get_args(hint):
            try:
                return _converted(value, choice, name)
            except TypeError:
                continue
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            kind = get_args(hint)[0]
            return tuple(_converted(item, kind, f"{name}[{i}]") for i, item in enumerate(value))
    elif hint is types.NoneType:
        if value is None:
            return None
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    wanted = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise TypeError(f"{name} must be {wanted}, got {_shown(repr(value))}")


def _job_id(values: dict[str, Any]) -> str:
    job_id = values.get("job_id", "")
    return job_id if isinstance(job_id, str) else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _limit() -> str:
    return f"the limit is {MAX_LINE_CHARACTERS}"
