# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.sampling.stratified import (
    from_spacing,
    generator_for,
    sample_stratified,
    strata,
    to_spacing,
)


def test_each_part_of_a_ray_has_one_sample() -> None:
    near, far = torch.tensor([0.0, 2.0, -1.0]), torch.tensor([1.0, 10.0, 1.0])
    samples = sample_stratified(near, far, 8, torch.Generator().manual_seed(0))
    parts = (samples - near[:, None]) / (far - near)[:, None] * 8
    assert parts.floor().tolist() == [list(range(8))] * 3


def test_within_its_part_a_sample_is_anywhere() -> None:
    """Mean and variance of a uniform distribution, over many rays."""
    shares = strata(40_000, 2, torch.zeros(1), torch.Generator().manual_seed(0))
    assert shares.mean(dim=0).tolist() == pytest.approx([0.25, 0.75], abs=0.003)
    assert shares.var(dim=0).tolist() == pytest.approx([1 / 48, 1 / 48], abs=0.0005)


def test_without_a_generator_samples_are_in_the_middles() -> None:
    samples = sample_stratified(torch.tensor([1.0]), torch.tensor([3.0]), 4)
    assert samples.tolist() == [[1.25, 1.75, 2.25, 2.75]]


def test_shares_never_reach_one() -> None:
    assert float(strata(200_000, 64, torch.zeros(1), torch.Generator().manual_seed(0)).max()) < 1


def test_a_ray_without_length_has_all_samples_at_one_place() -> None:
    samples = sample_stratified(torch.zeros(1), torch.zeros(1), 5, torch.Generator())
    assert samples.tolist() == [[0.0] * 5]


def test_the_cpu_goes_on_with_the_generator_itself() -> None:
    generator = torch.Generator()
    assert generator_for(torch.device("cpu"), generator) is generator


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_device_follows_the_cpus_generator() -> None:
    device = torch.device("cuda")
    draws = [
        torch.rand(
            4, generator=generator_for(device, torch.Generator().manual_seed(seed)), device=device
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_spacing_is_even_near_and_even_in_disparity_far_away() -> None:
    t = torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0])
    spacing = to_spacing(t, reach=2.0)
    assert spacing.tolist() == [0.0, 0.25, 0.5, 0.75, 0.875]
    torch.testing.assert_close(from_spacing(spacing, reach=2.0), t)


def test_the_end_of_spacing_is_far_but_finite() -> None:
    assert from_spacing(torch.ones(1), reach=2.0).isfinite().all()
