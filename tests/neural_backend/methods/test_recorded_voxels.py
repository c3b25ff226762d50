# SPDX-License-Identifier: GPL-3.0-or-later
"""That steps of the voxel grid could be graphs on CUDA, asked where there is no card."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.kernels import repeated_step
from neural_backend.methods import voxel_grid as voxel_grid_module
from neural_backend.methods.voxel_grid import PRESETS, VoxelGrid
from neural_backend.training import sparse_adam
from neural_backend.training.trainer import TrainingProgress
from scripts.make_test_data import make_glossy_scene
from tests.stays_on_device import StaysOnTheDevice

CPU = torch.device("cpu")
SMALL = replace(
    PRESETS["draft"], resolutions=(12, 20), resolutions_unbounded=(12,), rays=500, update_rays=128,
    rays_per_voxel=0.0, prune_every=1, surface=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glossy")
    make_glossy_scene(folder, size=24, num_views=8)
    return load_capture(folder).split("train")


@pytest.fixture
def as_on_cuda(monkeypatch) -> None:
    """Updates by torch, as on CUDA, and errors as tensors."""
    by_numba = voxel_grid_module.kernels.learn

    def learn(grid, rays, gradients, touched, gain_gradient, distortion, surface):
        if grid.rows.is_meta:
            gradients.add_(1.0)
            touched.fill_(1)
            gain_gradient.fill_(0.1)
            return grid.rows.new_zeros(()), -1
        with _disable_current_modes():
            given = gradients, touched, gain_gradient, distortion, surface
            error, samples = by_numba(grid, rays, *given)
            return torch.from_numpy(np.array(error, np.float32)), samples

    monkeypatch.setattr(voxel_grid_module.kernels, "learn", learn)
    monkeypatch.setattr(sparse_adam, "_VECTOR", 1 << 20)


def make(capture, unbounded=False, device=CPU, **options) -> tuple[VoxelGrid, RayBatches]:
    batches = RayBatches(load_images(capture), device)
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    config = replace(SMALL, **options)
    return VoxelGrid(config, bounds, unbounded, batches.num_views, device), batches


def count_on_the_device(method: VoxelGrid) -> None:
    """As where the device is not the CPU."""
    for adam in (method._adam, method._exposure):
        adam.steps = torch.as_tensor(adam.steps).clone()


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_recorded_step_neither_waits_for_the_device_nor_sends_to_it(
    capture, unbounded, as_on_cuda, meta, monkeypatch
):
    # The cells of a grid without values are all that there could be.
    every = "torch.fx.experimental._config.meta_nonzero_assume_all_nonzero"
    monkeypatch.setattr(every, True, raising=False)
    for device in (CPU, meta):
        method, batches = make(capture, unbounded, device)
        count_on_the_device(method)
        rate = torch.full((), 0.5, device=device)
        with StaysOnTheDevice(device):
            loss = method._draw_and_learn(batches, 300, rate, 0.5, torch.Generator(device))
        assert loss.device == device


def test_between_steps_nothing_is_sent_to_the_device_either(capture, meta, monkeypatch):
    """Neither where voxels are smoothed nor where what is empty is looked for."""
    every = "torch.fx.experimental._config.meta_nonzero_assume_all_nonzero"
    monkeypatch.setattr(every, True, raising=False)
    method, _ = make(capture, device=meta)
    with StaysOnTheDevice(meta):
        method._smooth(0.5)
        method._prune_if_due(100)
    assert method._pruned_at == 100


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_recorded_step_heeds_its_rate_and_counts_on(capture, unbounded, as_on_cuda):
    """As CUDA's graphs are told of it: by a tensor that is filled anew."""
    states = []
    for repeated in (False, True):
        # Numbers that are exact in single precision too: what differs a little soon differs a lot.
        method, batches = make(capture, unbounded, beta2=0.5)
        if repeated:
            count_on_the_device(method)
        generator = torch.Generator().manual_seed(0)
        for rate, alone in ((1.0, 0.0), (0.5, 0.0), (0.25, 0.5), (0.125, 0.5)):
            learn = method._repeat if repeated else method._draw_and_learn
            learn(batches, 100, rate, alone, generator)
        states.append(method.state())
    assert states[0]["adam.steps"] == 4 * math.ceil(100 / method._rays_of_an_update())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-4, msg=name)
    if unbounded:
        assert states[0]["exposure.values"].abs().max() > 1e-3


def test_on_cuda_steps_are_repeated_where_triton_runs(capture, monkeypatch):
    method, batches = make(capture)
    monkeypatch.setattr(method, "_repeat", lambda *_: 1.0)
    monkeypatch.setattr(method, "_draw_and_learn", lambda *_: 2.0)

    def loss() -> float:
        return method.train_step(batches, TrainingProgress(1, 0.0), torch.Generator())["loss"]

    monkeypatch.setattr(voxel_grid_module, "uses_triton", lambda _: True)
    assert loss() == 2.0
    method.device = torch.device("cuda")
    assert loss() == 1.0
    monkeypatch.setattr(voxel_grid_module, "uses_triton", lambda _: False)
    assert loss() == 2.0


def test_steps_are_recorded_anew_for_a_refined_grid_and_let_go_of_the_old_one(capture, monkeypatch):
    method, batches = make(capture)
    generator = torch.Generator().manual_seed(0)
    recorded, held = [], []
    by_itself, refine = repeated_step.RepeatedStep, method._field.refine

    def record(work, generator):
        recorded.append(work)
        return by_itself(work, generator)

    def watched(*given):
        held.append(method._repeated._step)
        refine(*given)

    monkeypatch.setattr(repeated_step, "RepeatedStep", record)
    monkeypatch.setattr(method._field, "refine", watched)
    monkeypatch.setattr(method, "_is_recorded", lambda: True)

    def go(step, fraction, batches):
        method.train_step(batches, TrainingProgress(step, fraction), generator)
        return len(recorded)

    assert [go(step, 0.1, batches) for step in (1, 2)] == [1, 1]
    rows = len(method._field.rows)
    assert [go(step, 0.75, batches) for step in (3, 4)] == [2, 2]
    assert len(method._field.rows) > rows
    assert held == [None]
    others = make(capture)[1]
    assert go(5, 0.75, others) == 3
    method.load_state({name: value.clone() for name, value in method.state().items()})
    assert [go(step, 0.75, others) for step in (6, 7)] == [4, 4]


def test_where_nothing_is_sampled_is_changed_in_place(capture):
    method, _ = make(capture)
    field = method._field
    place, before = field.skip.data_ptr(), field.skip.clone()
    field.rows[: len(field.rows) // 2, 0] = -20.0
    method._prune_if_due(100)
    assert field.skip.data_ptr() == place
    assert (field.skip > 0).sum() > (before > 0).sum()
