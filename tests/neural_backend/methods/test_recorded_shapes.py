# SPDX-License-Identifier: GPL-3.0-or-later
"""That steps of methods for shapes could be graphs on CUDA, asked where there is no card."""

from typing import NamedTuple

import pytest
import torch

from neural_backend.datasets.shape_set import ShapeSet
from neural_backend.methods.deep_sdf import DeepSDF, DeepSDFConfig
from neural_backend.methods.neural_sdf import NeuralSDF, NeuralSDFConfig
from neural_backend.methods.occupancy_network import OccupancyNetwork, OccupancyNetworkConfig
from neural_backend.methods.structured_implicit import StructuredImplicit, StructuredImplicitConfig
from neural_backend.training.trainer import TrainingProgress
from tests.simple_shapes import ball, measured
from tests.stays_on_device import StaysOnTheDevice, encode_by_torch

CPU = torch.device("cpu")
FRACTIONS = (0.0, 0.003, 0.2, 0.7)


class Case(NamedTuple):
    kind: type
    config: object
    radii: tuple[float, ...] = (0.6,)

    def shapes(self, device=CPU) -> ShapeSet:
        return ShapeSet([measured(ball(radius), count=400) for radius in self.radii], device)

    def make(self, device=CPU):
        bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
        return self.kind(self.config, bounds, len(self.radii), device)


CASES = {
    "neural_sdf": Case(
        NeuralSDF,
        NeuralSDFConfig(
            levels=4, log2_entries=10, coarsest=4, finest=16, width=16, surface=64, near=48,
            uniform=16, slopes=16, first_levels=1.5,
        ),
    ),
    "deep_sdf": Case(
        DeepSDF,
        DeepSDFConfig(
            latent_dim=4, width=16, depth=2, frequencies=2, shapes=5, near=32, uniform=16,
            prior=1.0, variants=2,
        ),
        (0.4, 0.5, 0.6),
    ),
    "occupancy_network": Case(
        OccupancyNetwork,
        OccupancyNetworkConfig(
            latent_dim=8, encoder_width=8, width=16, blocks=1, frequencies=2, cloud=32, uniform=16,
            near=16, swing=0.5, stretch=0.15, lean=0.3, grafted=0.5, final_learning_rate=1e-6,
        ),
        (0.4, 0.5, 0.6),
    ),
    "structured_implicit": Case(
        StructuredImplicit,
        StructuredImplicitConfig(elements=3, local_dim=2, local_width=4, uniform=32, near=32),
    ),
}  # fmt: skip
each_method = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_method
def test_a_recorded_step_neither_waits_for_the_device_nor_sends_to_it(case, meta, monkeypatch):
    encode_by_torch(monkeypatch)
    for device in (CPU, meta):
        method, shapes = case.make(device), case.shapes(device)
        fraction = torch.full((), 0.1, device=device)
        with StaysOnTheDevice(device):
            losses = method._step(shapes, fraction, torch.Generator(device))
        assert losses["loss"].device == device


@each_method
def test_a_recorded_step_heeds_the_fraction_of_the_training(case):
    """As CUDA's graphs are told of it: by a tensor that is filled anew."""
    shapes, states = case.shapes(), []
    for repeated in (False, True):
        method, generator = case.make(), torch.Generator().manual_seed(0)
        for fraction in FRACTIONS:
            learn = method._repeat if repeated else method._step
            learn(shapes, fraction, generator)
        states.append(method.state())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6, msg=name)
    unlike = case.make()
    generator = torch.Generator().manual_seed(0)
    for _ in FRACTIONS:
        unlike._step(shapes, 0.0, generator)
    different = [(value - unlike.state()[name]).abs().max() for name, value in states[0].items()]
    assert max(different) > 1e-4  # so that a fraction that stood still would be noticed


@each_method
def test_on_cuda_steps_are_repeated_and_elsewhere_they_are_not(case, monkeypatch):
    method, shapes, generator = case.make(), case.shapes(), torch.Generator()
    asked = []
    monkeypatch.setattr(method, "_repeat", lambda *given: asked.append(given) or {"loss": 1.0})
    monkeypatch.setattr(method, "_step", lambda *_: {"loss": 2.0})
    progress = TrainingProgress(0, 0.25)
    assert method.train_step(shapes, progress, generator) == {"loss": 2.0}
    assert not asked
    method.device = torch.device("cuda")
    assert method.train_step(shapes, progress, generator) == {"loss": 1.0}
    assert asked == [(shapes, 0.25, generator)]
    monkeypatch.setattr("neural_backend.kernels.process_group.size", lambda: 2)
    assert method.train_step(shapes, progress, generator) == {"loss": 2.0}


def test_steps_are_recorded_anew_for_other_shapes(monkeypatch):
    case = CASES["structured_implicit"]
    method, generator = case.make(), torch.Generator()
    seen = []
    monkeypatch.setattr(method, "_step", lambda shapes, *_: seen.append(shapes) or {"loss": 0.0})
    one, other = case.shapes(), case.shapes()
    for shapes in (one, one, other, one):
        method._repeat(shapes, 0.5, generator)
    assert seen == [one, one, other, one]
