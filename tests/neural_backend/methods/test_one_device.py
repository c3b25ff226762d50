# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods on a device that is not the CPU: torch's meta device stands in for a graphics card.

It has no values, but most operations refuse tensors of two devices there as they do on CUDA;
products and picking by an index do not.
"""

from dataclasses import asdict

import pytest
import torch

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.kernels.ray_budget import RayBudget
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.hash_grid_method import HashGridMethod
from neural_backend.methods.registry import METHODS, MethodRecipe, build_method, method_config
from tests.moving_capture import write_moving_capture

META = torch.device("meta")
METHODS_IN_TORCH = sorted(set(METHODS) - {"voxel_grid"})
"""The others march by a twin that looks at its values."""


@pytest.fixture
def meta(meta, monkeypatch) -> torch.device:
    """The meta device, of which numbers may be read where no step is taken."""
    whole = torch.Tensor.__int__
    # The number of samples, which rendering reads.
    monkeypatch.setattr(torch.Tensor, "__int__", lambda x: 40 if x.is_meta else whole(x))
    # Lists of cells, which are made before anything is learned, have all that they could hold.
    monkeypatch.setattr(
        "torch.fx.experimental._config.meta_nonzero_assume_all_nonzero", True, raising=False
    )
    monkeypatch.setattr(HashGridMethod, "_budget", lambda _: RayBudget(1 / 4, META))
    return meta


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return load_capture(write_moving_capture(tmp_path_factory.mktemp("moving") / "capture"))


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("name", METHODS_IN_TORCH)
def test_a_step_and_a_view_have_all_tensors_on_the_methods_device(name, unbounded, moving, meta):
    batches = RayBatches(load_images(moving), meta)
    recipe = MethodRecipe(
        method=name,
        config=asdict(method_config(name, "draft")),
        bounds=tuple(map(tuple, moving.bounds.tolist())),
        unbounded=unbounded,
        num_views=batches.num_views,
        times=tuple(sorted({view.time for view in moving.views})),
    )
    method = build_method(recipe, meta)
    # Left out is what looks at the pictures.
    if isinstance(method, HashGridMethod):
        method._batches = batches
    values = method.train_step(batches, TrainingProgress(0, 0.3), torch.Generator())
    assert values["loss"].is_meta
    seen = method.render_rays(batches.view_rays(0)[:50], True)
    assert seen.rgb.is_meta
    assert seen.depth.is_meta


def test_the_meta_device_refuses_tensors_of_the_cpu():
    there, here = torch.zeros(3, 2, device=META), torch.zeros(3, 2)
    for mixed in (lambda: there + here, lambda: torch.cat([there, here])):
        with pytest.raises(RuntimeError, match="device"):
            mixed()
