# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that draws nothing and remembers everything: without a window no panel is drawn.

It knows what Blender's own layout knows: functions, their arguments and icons; and it fails on a
property, an operator or a list that does not exist, where Blender would only print a warning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import bpy

_LAYOUT = bpy.types.UILayout.bl_rna
_ATTRIBUTES = {one.identifier for one in _LAYOUT.properties} - {"rna_type"}


@dataclass
class Call:
    """One thing that was drawn: `operator` with its id, `prop` with the property's name …"""

    function: str
    arguments: dict[str, Any]
    layout: "RecordingLayout"
    result: Any = None

    @property
    def text(self) -> str:
        """What is read on it."""
        given = self.arguments.get("text")
        if given is not None:
            return given
        if self.function == "operator":
            return operator_type(self.arguments["operator"]).name
        if self.function.startswith("prop"):
            return self.arguments["data"].bl_rna.properties[self.arguments["property"]].name
        return ""

    @property
    def enabled(self) -> bool:
        """Whether it can be pressed: neither it nor what it lies in is grey."""
        layout: RecordingLayout | None = self.layout
        while layout is not None:
            if not layout.attributes.get("enabled", True):
                return False
            layout = layout.above
        return True


@dataclass
class RecordingLayout:
    """Stands in for `bpy.types.UILayout`; `calls` is shared with all layouts inside it."""

    calls: list[Call] = field(default_factory=list)
    above: "RecordingLayout | None" = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("calls", "above", "attributes"):
            object.__setattr__(self, name, value)
        elif name in _ATTRIBUTES:
            self.attributes[name] = value
        else:
            raise AttributeError(f"Blender's layout has no {name!r} to set")

    def __getattr__(self, name: str) -> Any:
        if name in _ATTRIBUTES:
            return self.attributes.get(name, _LAYOUT.properties[name].default)
        if name not in _LAYOUT.functions:
            raise AttributeError(f"Blender's layout has no {name!r}")
        return lambda *given, **named: self._call(name, given, named)

    def _call(self, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        parameters = [one for one in _LAYOUT.functions[name].parameters if not one.is_output]
        arguments = dict(zip((one.identifier for one in parameters), given, strict=False)) | named
        known = {one.identifier: one for one in parameters}
        assert len(given) <= len(parameters), f"{name} takes {len(parameters)} arguments"
        assert arguments.keys() <= known.keys(), f"{name} has no {arguments.keys() - known.keys()}"
        missing = {key for key, one in known.items() if one.is_required} - arguments.keys()
        assert not missing, f"{name} lacks {missing}"
        for key, value in arguments.items():
            _check(f"{name}({key}=…)", known[key], value)
        call = Call(name, arguments, self)
        self.calls.append(call)
        call.result = self._result(name, arguments)
        return call.result

    def _result(self, name: str, arguments: dict[str, Any]) -> Any:
        if "operator" in arguments:
            return OperatorProperties(arguments["operator"])
        if "property" in arguments:
            has_property(arguments["data"], arguments["property"])
        if "search_property" in arguments:
            has_property(arguments["search_data"], arguments["search_property"])
        if name == "template_list":
            assert hasattr(bpy.types, arguments["listtype_name"]), arguments["listtype_name"]
            has_property(arguments["dataptr"], arguments["propname"])
            has_property(arguments["active_dataptr"], arguments["active_propname"])
        if name in ("menu", "popover"):
            identifier = arguments["menu" if name == "menu" else "panel"]
            assert hasattr(bpy.types, identifier), f"there is no {identifier}"
        outputs = [one for one in _LAYOUT.functions[name].parameters if one.is_output]
        layouts = [
            RecordingLayout(self.calls, self)
            for one in outputs
            if one.type == "POINTER" and one.fixed_type.identifier == "UILayout"
        ]
        return tuple(layouts) if len(layouts) > 1 else layouts[0] if layouts else None


class OperatorProperties:
    """What `layout.operator` gives back: the properties of that operator, and no others."""

    def __init__(self, identifier: str) -> None:
        object.__setattr__(self, "rna", operator_type(identifier))
        object.__setattr__(self, "given", {})

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.rna.properties, f"{self.rna.identifier} has no {name!r}"
        self.given[name] = value

    def __getattr__(self, name: str) -> Any:
        return self.given[name]


def operator_type(identifier: str) -> Any:
    """The type of a registered operator; fails where there is none."""
    module, _, name = identifier.partition(".")
    assert name in dir(getattr(bpy.ops, module)), f"there is no operator {identifier!r}"
    return getattr(getattr(bpy.ops, module), name).get_rna_type()


def has_property(data: Any, name: str) -> None:
    """Fails where a group or an operator has no such property."""
    assert name in data.bl_rna.properties, f"{data.bl_rna.identifier} has no {name!r}"


def draw(panel: type, context: Any = None, method: str = "draw", **own: Any) -> RecordingLayout:
    """What a panel draws, with Blender's context or another one; `own` are attributes of the panel.

    The panel's `poll` is asked first: of one that is not shown nothing is drawn.
    """
    layout = RecordingLayout()
    context = context or bpy.context
    if not getattr(panel, "poll", lambda _context: True)(context):
        return layout
    drawn = plain(panel)(layout=layout, **own)
    getattr(drawn, method)(context)
    return layout


def plain(kind: type) -> type:
    """What a panel or list is without Blender, which makes none for Python."""
    own = [base for base in reversed(kind.__mro__) if not base.__module__.startswith("bpy")]
    body = {key: value for base in own for key, value in vars(base).items() if key[:2] != "__"}
    return type(kind.__name__, (SimpleNamespace,), body)


def called(layout: RecordingLayout, function: str) -> Iterator[Call]:
    """Everything of a kind that was drawn, in its order."""
    return (call for call in layout.calls if call.function == function)


def operators(layout: RecordingLayout) -> list[str]:
    """The ids of the buttons, in their order."""
    return [call.arguments["operator"] for call in called(layout, "operator")]


def properties(layout: RecordingLayout) -> list[str]:
    """The names of the properties that can be set."""
    return [
        call.arguments["property"]
        for call in layout.calls
        if call.function.startswith("prop") and "property" in call.arguments
    ]


def texts(layout: RecordingLayout) -> str:
    """All that can be read, a line a thing."""
    return "\n".join(text for call in layout.calls if (text := call.text))


def _check(where: str, parameter: Any, value: Any) -> None:
    """The kind of an argument, as far as Blender would refuse it."""
    if parameter.type == "ENUM":
        choices = set(parameter.enum_items.keys())
        for one in value if isinstance(value, set) else {value}:
            assert one in choices or not choices, f"{where}: there is no {one!r}"
    elif parameter.type == "STRING":
        assert isinstance(value, str), f"{where}: {value!r} is no text"
    elif parameter.type in ("INT", "FLOAT", "BOOLEAN"):
        assert isinstance(value, (int, float)), f"{where}: {value!r} is no number"
