# SPDX-License-Identifier: GPL-3.0-or-later
"""All kernels of a training step together, as they run on CUDA."""

from dataclasses import replace

import pytest
import torch

from neural_backend.datasets.capture import distinct_times
from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.rays import Rays
from neural_backend.kernels import triton_use
from neural_backend.kernels.ray_budget import RayBudget
from neural_backend.methods import deformable_ngp, instant_ngp
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.deformable_ngp import DeformableNGP
from neural_backend.methods.hash_grid_method import HashGridMethod
from neural_backend.methods.instant_ngp import InstantNGP
from tests.moving_capture import write_moving_capture

SMALL = {
    "levels": 2,
    "log2_entries": 9,
    "finest": 32,
    "samples_per_step": 2**10,
    "final_samples_per_step": 2**10,
    "occupancy_resolution": 16,
    "occupancy_every": 2,
    "surface": 0.3,
    "surface_from": 0.4,
    "average": 0.8,
}
STEPS = 4


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> RayBatches:
    capture = load_capture(write_moving_capture(tmp_path_factory.mktemp("ball") / "capture"))
    return RayBatches(load_images(capture))


def make(name: str, unbounded: bool, batches: RayBatches, device: torch.device) -> HashGridMethod:
    batches.candidates = None
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    given = box, unbounded, batches.num_views, device
    method: InstantNGP | DeformableNGP
    if name == "instant_ngp":
        method = InstantNGP(replace(instant_ngp.PRESETS["draft"], **SMALL), *given)
        method._engine = method._learner = method._autograd_field()
    else:
        config = replace(deformable_ngp.PRESETS["draft"], **SMALL, deformation_width=16, slices=2)
        method = DeformableNGP(config, *given, distinct_times(batches.views))
        method._engine = method._autograd_field()
    return method


def learn(method: HashGridMethod, batches: RayBatches) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each of a few steps, and then what some rays show."""
    generator = torch.Generator().manual_seed(0)
    progress = [TrainingProgress(step, step / STEPS) for step in range(STEPS)]
    losses = [float(method.train_step(batches, at, generator)["loss"]) for at in progress]
    rays = batches.view_rays(0)
    some = slice(400, 480)
    assert rays.times is not None
    seen = method.render_rays(Rays(rays.origins[some], rays.directions[some], rays.times[some]))
    return torch.tensor(losses), torch.cat([seen.rgb, seen.accumulation[:, None]], dim=1).cpu()


@pytest.mark.slow
@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("name", ["instant_ngp", "deformable_ngp"])
def test_it_is_the_training_by_plain_torch_but_for_rounding(
    name, unbounded, batches, triton, monkeypatch
) -> None:
    """Hidden samples, a budget of rays, surfaces, exposures and averages included."""
    if triton.type == "cuda":
        pytest.skip("its random numbers are others than the CPU's")
    monkeypatch.setattr(HashGridMethod, "_budget", lambda _: RayBudget(1 / 4, triton))
    by_triton = learn(make(name, unbounded, batches, triton), batches)
    monkeypatch.setattr(triton_use, "interpreted", False)
    by_torch = learn(make(name, unbounded, batches, triton), batches)
    for found, expected in zip(by_triton, by_torch, strict=True):
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.005)
    assert by_torch[1][:, 3].max() > 0.05
