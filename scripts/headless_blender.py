# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers the add-on of this checkout in the `bpy` wheel, without building or installing it.

`python -i scripts/headless_blender.py` gives a prompt with `bpy` and the add-on's operators.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "neural_fields"


def load_extension() -> ModuleType:
    """This checkout as the package that Blender would see, whatever its folder is called."""
    if PACKAGE in sys.modules:
        return sys.modules[PACKAGE]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    import bpy  # noqa: F401

    load_extension().register()
    sys.stdout.write("The operators are at bpy.ops.neural_fields.\n")
