# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run folder of shapes says of itself."""

import json
from dataclasses import dataclass
from pathlib import Path

from .errors import SceneError


@dataclass(frozen=True)
class ShapeRun:
    """The shapes that a run learned, and those that were found in its family since."""

    method: str
    steps: int
    names: tuple[str, ...]
    found: tuple[str, ...] = ()


def shapes_of_run(run: Path) -> ShapeRun | None:
    """The shapes of a run; None of one that learned a field from pictures, or nothing yet.

    Raises:
        SceneError: where its files are damaged.
    """
    try:
        last = run / "checkpoints" / "last.json"
        if not last.is_file():
            return None
        folder = last.parent / str(_values(last)["checkpoint"])
        recipe = _values(folder / "config.json")
        if not isinstance(recipe.get("names"), list):
            return None
        steps = int(_values(folder / "progress.json").get("step", 0))
        latents = run / "latents.json"
        found = tuple(_values(latents)) if latents.is_file() else ()
        return ShapeRun(str(recipe["method"]), steps, tuple(map(str, recipe["names"])), found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SceneError(f"{run} is damaged: {error}.", "Fit its shapes again.") from error


def _values(file: Path) -> dict:
    return dict(json.loads(file.read_text(encoding="utf-8")))
