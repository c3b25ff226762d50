# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.sampling.weighted_choice import choose_by_weight


def test_samples_are_chosen_as_often_as_their_weights_say() -> None:
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 6.0, 0.0])
    chosen = choose_by_weight(weights.expand(20_000, 6), torch.Generator().manual_seed(0))
    shares = torch.bincount(chosen, minlength=6) / 20_000
    torch.testing.assert_close(shares, weights / 10, atol=0.015, rtol=0)
    assert not shares[weights == 0].any()


def test_the_mean_over_chosen_samples_is_the_weighted_sum() -> None:
    """What the elastic loss relies on: sum of weights · value, from one sample a ray."""
    weights, values = torch.rand(5, 8), torch.rand(5, 8)
    expected = (weights * values).sum(dim=-1)
    generator, count = torch.Generator().manual_seed(1), 4000
    many = weights.repeat_interleave(count, dim=0)
    chosen = values.repeat_interleave(count, dim=0).gather(
        1, choose_by_weight(many, generator)[:, None]
    )
    estimate = weights.sum(dim=-1) * chosen.reshape(5, count).mean(dim=-1)
    torch.testing.assert_close(estimate, expected, atol=0.05, rtol=0.03)


def test_a_ray_that_sees_nothing_still_has_a_sample() -> None:
    weights = torch.zeros(100, 7)
    weights[50:] = 1e-38
    chosen = choose_by_weight(weights, torch.Generator().manual_seed(0))
    assert ((chosen >= 0) & (chosen < 7)).all()
