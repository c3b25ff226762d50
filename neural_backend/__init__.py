# SPDX-License-Identifier: GPL-3.0-or-later
"""Neural Fields' backend: learns continuous fields from pictures, without Blender.

    import neural_backend as nf

    nf.train("captures/lego", "runs/lego", preset="draft")
    nf.render_views("runs/lego")
    nf.extract_mesh("runs/lego", resolution=256)

What is listed in `__all__` is explained in `neural_backend.api` and `neural_backend.api_shapes`;
importing this package alone loads neither torch nor anything else.
"""

import os
from importlib import import_module
from typing import Any

# Else torch's threads keep processors busy for milliseconds after each of its operations, which
# are then missing to the kernels' own threads; torch reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

__all__ = [
    "JobError",
    "__version__",
    "bake_motion",
    "evaluate",
    "extract_mesh",
    "extract_mesh_sequence",
    "extract_volume",
    "fit_image",
    "fit_latent",
    "fit_shape",
    "load_capture",
    "load_run",
    "load_shape_run",
    "mesh_shape",
    "render_views",
    "trace_shape",
    "train",
]

_ABOUT_SHAPES = {
    "fit_image",
    "fit_latent",
    "fit_shape",
    "load_shape_run",
    "mesh_shape",
    "trace_shape",
}


def __getattr__(name: str) -> Any:
    if name == "JobError":
        return import_module(".protocol.errors", __name__).JobError
    if name in __all__:
        home = ".api_shapes" if name in _ABOUT_SHAPES else ".api"
        return getattr(import_module(home, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
