# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.sampling.importance import sample_importance
from tests.reference import inverse_cdf

EDGES = torch.tensor([[0.0, 1.0, 1.5, 4.0, 4.0, 5.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 3.0, 0.0, 0.0, 0.5]], dtype=torch.float64)


def test_quantiles_are_those_of_the_slow_loop() -> None:
    samples = sample_importance(EDGES, WEIGHTS, 40)
    truth = [inverse_cdf(EDGES[0].tolist(), WEIGHTS[0].tolist(), (k + 0.5) / 40) for k in range(40)]
    assert samples[0].tolist() == pytest.approx(truth)


def test_many_samples_fill_the_histogram_in_proportion_to_the_weights() -> None:
    samples = sample_importance(EDGES, WEIGHTS, 9000, torch.Generator().manual_seed(0))[0]
    edges = torch.tensor([0.0, 0.5, 1.0, 1.25, 1.5, 4.0, 4.5, 5.0], dtype=torch.float64)
    counts = torch.histogram(samples, edges).hist
    assert counts.tolist() == pytest.approx([1000, 1000, 3000, 3000, 0, 500, 500], abs=2)


def test_independent_rays_follow_their_own_weights() -> None:
    edges = torch.linspace(0, 4, 5).repeat(4, 1)
    samples = sample_importance(edges, torch.eye(4), 16, torch.Generator().manual_seed(0))
    assert samples.floor().tolist() == [[float(ray)] * 16 for ray in range(4)]


def test_samples_rise() -> None:
    weights = torch.rand(50, 5, dtype=torch.float64)
    samples = sample_importance(EDGES.repeat(50, 1), weights, 33, torch.Generator().manual_seed(1))
    assert (samples.diff(dim=-1) >= 0).all()


def test_a_ray_that_saw_nothing_is_sampled_evenly() -> None:
    samples = sample_importance(EDGES, torch.zeros_like(WEIGHTS), 5)
    assert samples[0].tolist() == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5])


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, 0.0], [1e-38, 1e38], [0.0, 1e-30]])
@pytest.mark.parametrize("edges", [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1e-20, 1e5]])
def test_extremes_give_samples_within_the_ray(weights: list[float], edges: list[float]) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = sample_importance(torch.tensor([edges]), torch.tensor([weights]), 7, generator)
    assert samples.isfinite().all()
    assert (samples >= edges[0]).all()
    assert (samples <= edges[-1]).all()


def test_the_lowest_quantile_is_where_the_mass_begins(monkeypatch) -> None:
    monkeypatch.setattr(
        "neural_backend.sampling.importance.strata", lambda *_: torch.zeros(1, 3).double()
    )
    samples = sample_importance(EDGES, torch.tensor([[0.0, 3.0, 0, 0, 1]]).double(), 3)
    assert samples.tolist() == [[1.0, 1.0, 1.0]]


def test_no_gradient_passes() -> None:
    weights = WEIGHTS.clone().requires_grad_()
    assert not sample_importance(EDGES, weights, 4).requires_grad
