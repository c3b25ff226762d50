# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a test through torchrun: takes a few steps of the methods that processes learn together.

Arguments: the folder of a capture, and the file that the first process writes all states to.
"""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from torch import Tensor

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.datasets.shape_set import ShapeSet
from neural_backend.kernels import process_group
from neural_backend.methods import deep_sdf, instant_ngp, nerf
from neural_backend.methods.base import TrainingProgress
from neural_backend.networks import precision
from tests.simple_shapes import ball, measured

CPU = torch.device("cpu")
NUM_SHAPES = 5
STEPS = 6


@patch.object(precision, "has_fast_bf16", lambda _device: False)
def states(folder: Path, processes: int = 1) -> dict[str, Tensor]:
    """What is learned with batches that are `processes` times as large.

    In single precision everywhere: in bfloat16 a sum depends on how a batch is cut.
    """
    capture = load_capture(folder)
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    torch.manual_seed(1)
    learned = {
        "instant_ngp": _hash_grid(bounds, len(capture.views), processes),
        "nerf": _networks(bounds, len(capture.views), processes),
        "deep_sdf": _family(processes),
    }
    radii = [0.3 + 0.1 * number for number in range(NUM_SHAPES)]
    shapes = ShapeSet([measured(ball(radius), count=200) for radius in radii])
    for name, method in learned.items():
        batches = RayBatches(load_images(capture)) if name != "deep_sdf" else shapes
        generator = torch.Generator().manual_seed(7)
        method.prepare(batches)
        for step in range(STEPS):
            method.train_step(batches, TrainingProgress(step, step / STEPS), generator)
    return {
        f"{name}.{key}": tensor.contiguous()
        for name, method in learned.items()
        for key, tensor in method.state().items()
    }


def _hash_grid(bounds: Tensor, num_views: int, processes: int) -> instant_ngp.InstantNGP:
    config = replace(
        instant_ngp.PRESETS["draft"],
        levels=4,
        log2_entries=10,
        finest=32,
        samples_per_step=processes * 2**10,
        cuda_samples_per_step=processes * 2**10,
        occupancy_resolution=16,
        occupancy_every=2,
        hard_pixels=2,
    )
    method = instant_ngp.InstantNGP(config, bounds, True, num_views, CPU)
    # The kernels of the CPU, which processes cannot share, have their own test against this.
    method._learner = method._autograd_field()
    return method


def _networks(bounds: Tensor, num_views: int, processes: int) -> nerf.NeRF:
    config = replace(nerf.PRESETS["draft"], rays=processes * 32, width=16, density_noise=0.1)
    return nerf.NeRF(config, bounds, False, num_views, CPU)


def _family(processes: int) -> deep_sdf.DeepSDF:
    config = replace(
        deep_sdf.PRESETS["draft"], width=16, latent_dim=4, near=24, uniform=8, shapes=processes * 3
    )
    return deep_sdf.DeepSDF(config, torch.tensor([[-1.0] * 3, [1.0] * 3]), NUM_SHAPES, CPU)


if __name__ == "__main__":
    torch.set_num_threads(1)
    process_group.join()
    found = states(Path(sys.argv[1]))
    if process_group.rank() == 0:
        save_file(found, sys.argv[2])
