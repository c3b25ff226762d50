# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest
import torch

from neural_backend.datasets.capture import distinct_times
from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.methods import deformable_ngp, instant_ngp
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.deformable_ngp import DeformableNGP
from neural_backend.methods.instant_ngp import InstantNGP
from neural_backend.methods.weight_averages import WeightAverages
from tests.moving_capture import write_moving_capture

CPU = torch.device("cpu")
KEEP = 0.7
SMALL = {
    "levels": 2,
    "log2_entries": 10,
    "finest": 32,
    "samples_per_step": 2**10,
    "final_samples_per_step": 2**10,
    "occupancy_resolution": 16,
    "occupancy_every": 2,
    "average": KEEP,
}
LEARNED = {
    "instant_ngp": ("table", "weights"),
    "deformable_ngp": ("table", "weights", "deformation"),
}


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> RayBatches:
    capture = load_capture(write_moving_capture(tmp_path_factory.mktemp("ball") / "capture"))
    return RayBatches(load_images(capture))


def make(name: str, batches: RayBatches, engine: str = "numba", **changes):
    batches.candidates = None
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    given = box, False, batches.num_views, CPU
    if name == "instant_ngp":
        config = replace(instant_ngp.PRESETS["draft"], **{**SMALL, **changes})
        method = InstantNGP(config, *given)
    else:
        config = replace(deformable_ngp.PRESETS["draft"], **{**SMALL, **changes})
        method = DeformableNGP(config, *given, distinct_times(batches.views))
    if engine == "torch":
        method._engine = method._learner = method._autograd_field()
    return method


def go_on(method, batches: RayBatches, generator: torch.Generator, steps: range) -> None:
    for step in steps:
        method.train_step(batches, TrainingProgress(step, step / 40), generator)


def test_averages_and_what_is_learned_change_places() -> None:
    learned = {"weights": torch.ones(3), "table": torch.zeros(2, 2)}
    averages = WeightAverages(learned, 0.5)
    learned["weights"].fill_(2)
    (average,) = averages.of("weights")
    assert average.tolist() == [1, 1, 1]
    for shown, changes, value in ((1, 1, 1.0), (1, 0, 1.0), (0, 1, 2.0), (0, 0, 2.0)):
        assert averages.show(bool(shown)) == bool(changes)
        assert learned["weights"].tolist() == [value] * 3
    assert average.tolist() == [1, 1, 1]


def test_without_a_share_to_keep_there_are_no_averages() -> None:
    averages = WeightAverages({"weights": torch.ones(3)}, 0.0)
    assert averages.of("weights") == ()
    assert averages.state() == {}
    assert not averages.show(True)


@pytest.mark.parametrize("keep", [-0.1, 1.0, 3.0])
def test_a_share_that_is_none_is_refused(keep) -> None:
    with pytest.raises(ValueError, match="average to be at least 0 and less than 1"):
        WeightAverages({}, keep)


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("name", LEARNED)
def test_shown_is_the_average_of_the_last_steps(name, engine, batches) -> None:
    method, generator = make(name, batches, engine), torch.Generator().manual_seed(0)
    expected = {key: method.state()[key].double() for key in LEARNED[name]}
    for step in range(12):
        go_on(method, batches, generator, range(step, step + 1))
        state = method.state()
        for key, average in expected.items():
            average.lerp_(state[key].double(), 1 - KEEP)
    for key, average in expected.items():
        torch.testing.assert_close(state[f"{key}_average"].double(), average, atol=1e-6, rtol=1e-5)
        assert (state[key] - average).abs().max() > 1e-4
    # A field that learned nothing else shows the same.
    plain = make(name, batches, engine, average=0.0)
    names = plain.state()
    plain.load_state({key: state.get(f"{key}_average", state[key]) for key in names})
    rays = batches.view_rays(1)
    shown, wanted = method.render_rays(rays), plain.render_rays(rays)
    assert torch.equal(shown.rgb, wanted.rgb)
    points = torch.rand(50, 3) * 0.6 - 0.3
    assert torch.equal(method.density(points), plain.density(points))
    assert torch.equal(method.color(points, points), plain.color(points, points))
    plain.load_state({key: state[key] for key in names})
    assert not torch.equal(shown.rgb, plain.render_rays(rays).rgb)


@pytest.mark.parametrize("name", LEARNED)
def test_to_look_at_a_field_or_to_resume_it_changes_nothing_of_its_training(name, batches) -> None:
    states = []
    for looked_at in (False, True):
        method, generator = make(name, batches), torch.Generator().manual_seed(0)
        go_on(method, batches, generator, range(5))
        if looked_at:
            method.render_rays(batches.view_rays(0))
            saved = method.state()
            method = make(name, batches)
            method.render_rays(batches.view_rays(0))
            method.load_state(saved)
            method.density(torch.rand(5, 3))
        go_on(method, batches, generator, range(5, 10))
        states.append(method.state())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
