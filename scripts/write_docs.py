#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tables of the documentation that follow from the code; a test holds them in step.

A generated part stands between two HTML comments, `<!-- generated: NAME -->` and `<!-- end -->`;
the text around it is written by hand.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def messages_of(name: str) -> str:
    """A section a message: what it is for and a table of its fields."""
    from neural_backend.protocol import messages

    return "\n".join(message_section(kind) for kind in getattr(messages, name))


def message_section(kind: type) -> str:
    hints = get_type_hints(kind, include_extras=True)
    lines = [f"### `{kind.type}`", "", " ".join((kind.__doc__ or "").split()), ""]
    members = fields(kind)
    if members:
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    for member in members:
        plain, meaning = unpacked(hints[member.name])
        lines.append(f"| `{member.name}` | {type_name(plain)} | {default_of(member)} | {meaning} |")
    return "\n".join([*lines, ""]) if members else "\n".join(lines)


def unpacked(hint: Any) -> tuple[Any, str]:
    """The type and the text of an `Annotated`."""
    if hasattr(hint, "__metadata__"):
        return hint.__origin__, str(hint.__metadata__[0])
    return hint, ""


def type_name(kind: Any) -> str:
    """As JSON knows it."""
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is tuple:
        return f"list of {type_name(get_args(kind)[0])}s"
    return " or ".join(type_name(part) for part in get_args(kind))


def default_of(member: "Field[Any]") -> str:
    if member.default is MISSING:
        return "required"
    if member.default is None:
        return "`null`"
    if isinstance(member.default, bool):
        return f"`{str(member.default).lower()}`"
    if isinstance(member.default, tuple):
        return f"`{list(member.default)}`"
    return f'`"{member.default}"`' if isinstance(member.default, str) else f"`{member.default}`"


def method_section(method: str, *parts: str) -> str:
    """What the docstrings of a method and of its parts say, and its presets."""
    lines = []
    for place in (place_of(method).replace(".", "neural_backend.methods.", 1), *parts):
        module, _, name = place.partition(":")
        lines += [f"**`{name}`** ({module})", "", as_markdown(getattr(import_module(module), name))]
    return "\n".join([*lines, presets_of(method)])


def place_of(method: str) -> str:
    """Where a method of either registry is, as `module:Class`."""
    from neural_backend.methods.registry import METHODS
    from neural_backend.methods.shape_registry import SHAPE_METHODS

    return {**METHODS, **SHAPE_METHODS}[method]


def as_markdown(documented: type) -> str:
    """A docstring whose sections (`Source:`, `Differs:`) become items of a list."""
    lines: list[str] = []
    for line in (inspect.getdoc(documented) or "").splitlines():
        section = re.match(r"(Source|Differs|Raises): ?", line)
        if section and section[1] == "Raises":
            break
        lines.append(f"- *{section[1]}*: {line[section.end() :]}" if section else line)
    return "\n".join(lines).rstrip() + "\n"


def presets_of(method: str) -> str:
    """A method's settings, their values in each preset, and what else they may be."""
    from neural_backend.methods.limits import limits_of
    from neural_backend.methods.registry import config_of_preset

    names = ("draft", "standard", "final")
    presets = {name: config_of_preset(place_of(method), method, name) for name in names}
    kind = type(presets[names[0]])
    hints, limits = get_type_hints(kind), limits_of(kind)
    lines = [
        "| setting | " + " | ".join(f"`{name}`" for name in names) + " | allowed |",
        "|---" * (len(names) + 2) + "|",
    ]
    for member in fields(kind):
        values = [str(getattr(presets[name], member.name)) for name in names]
        allowed = str(limits.get(member.name) or choices_of(hints[member.name]))
        lines.append(f"| `{member.name}` | " + " | ".join([*values, allowed]) + " |")
    return "\n".join(lines) + "\n"


def choices_of(kind: Any) -> str:
    """What a setting without limits may be."""
    return "yes or no" if kind is bool else ", ".join(map(str, get_args(kind)))


def automatic_methods() -> str:
    """Which method `auto` stands for."""
    import torch

    from neural_backend.methods.registry import resolve_method

    kinds = {
        "objects on alpha": (False, False),
        "photos with surroundings": (True, False),
        "objects that move": (False, True),
        "surroundings that move": (True, True),
    }
    lines = ["| `auto` takes for | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for name, kind in (("a CPU", "cpu"), ("CUDA", "cuda")):
        chosen = [resolve_method("auto", torch.device(kind), *each) for each in kinds.values()]
        lines.append(f"| {name} | " + " | ".join(f"`{each}`" for each in chosen) + " |")
    return "\n".join(lines) + "\n"


def described_shapes() -> str:
    """The shapes that a description may name, and what each can be told."""
    from neural_backend.fields.shape_description import SHAPES

    lines = ["| type | fields | what it is |", "|---|---|---|"]
    for name, kind in SHAPES.items():
        members = ", ".join(
            f"`{one.name}`" + ("" if one.default is MISSING else f" {_as_json(one.default)}")
            for one in fields(kind)
        )
        meaning = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        lines.append(f"| `{name}` | {members} | {meaning} |")
    return "\n".join(lines) + "\n"


def _as_json(value: Any) -> str:
    return str(value).replace("(", "[").replace(",)", "]").replace(")", "]")


def docstring_of(place: str) -> str:
    """What one class says of itself."""
    module, _, name = place.partition(":")
    return f"**`{name}`** ({module})\n\n{as_markdown(getattr(import_module(module), name))}"


GENERATED: dict[str, Callable[[], str]] = {
    "jobs": lambda: messages_of("JOBS"),
    "commands": lambda: messages_of("COMMANDS"),
    "events": lambda: messages_of("EVENTS"),
    "auto": automatic_methods,
    "shapes": described_shapes,
    "image_field": lambda: "\n".join(
        docstring_of(f"neural_backend.{place}")
        for place in (
            "fields.image_field:ImageField",
            "methods.image_fitting:ImageFittingConfig",
        )
    ),
    "nerf": lambda: method_section(
        "nerf",
        "neural_backend.methods.nerf_config:NeRFConfig",
        "neural_backend.fields.nerf:NeRFField",
    ),
    "dnerf": lambda: method_section(
        "dnerf",
        "neural_backend.methods.dnerf:DNeRFConfig",
        "neural_backend.fields.dnerf:DNeRFWarp",
    ),
    "nerfies": lambda: method_section(
        "nerfies",
        "neural_backend.methods.nerfies:NerfiesConfig",
        "neural_backend.fields.nerfies:SE3Warp",
        "neural_backend.fields.latent_codes:TimeCodes",
        "neural_backend.fields.latent_codes:ViewCodes",
    ),
    "voxel_grid": lambda: method_section(
        "voxel_grid",
        "neural_backend.methods.voxel_grid_config:VoxelGridConfig",
        "neural_backend.fields.voxel_grid:VoxelGridField",
    ),
    "instant_ngp": lambda: method_section(
        "instant_ngp",
        "neural_backend.methods.instant_ngp_config:InstantNGPConfig",
        "neural_backend.fields.instant_ngp:InstantNGPField",
    ),
    "deformable_ngp": lambda: method_section(
        "deformable_ngp",
        "neural_backend.methods.deformable_ngp:DeformableNGPConfig",
        "neural_backend.fields.deformable_ngp:DeformableNGPField",
    ),
    "neural_sdf": lambda: method_section(
        "neural_sdf",
        "neural_backend.methods.neural_sdf:NeuralSDFConfig",
        "neural_backend.fields.neural_sdf:NeuralSDFField",
    ),
    "deep_sdf": lambda: method_section(
        "deep_sdf",
        "neural_backend.methods.deep_sdf:DeepSDFConfig",
        "neural_backend.fields.deep_sdf:DeepSDFField",
    ),
    "occupancy_network": lambda: method_section(
        "occupancy_network",
        "neural_backend.methods.occupancy_network:OccupancyNetworkConfig",
        "neural_backend.fields.occupancy_network:OccupancyNetworkField",
        "neural_backend.networks.point_encoder:PointEncoder",
        "neural_backend.networks.conditional_resnet:ConditionalBatchNorm",
    ),
    "structured_implicit": lambda: method_section(
        "structured_implicit",
        "neural_backend.methods.structured_implicit:StructuredImplicitConfig",
        "neural_backend.fields.structured_implicit:StructuredImplicitField",
    ),
}


def current(text: str) -> str:
    """`text` with its generated parts as the code has them now."""
    return PART.sub(lambda part: part[1] + "\n" + GENERATED[part[2]]() + "\n" + part[3], text)


def pages() -> list[Path]:
    """The pages that have generated parts."""
    return [path for path in sorted(DOCS.glob("*.md")) if PART.search(path.read_text("utf-8"))]


def main() -> int:
    sys.path.insert(0, str(ROOT / "scripts"))
    import environment

    environment.enter()
    sys.path.insert(0, str(ROOT))
    for page in pages():
        text = current(page.read_text(encoding="utf-8"))
        temporary = page.with_name(f".{page.name}.part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(page)
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
