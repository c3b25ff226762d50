# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.training.adam_state import Rate, ScheduledAdam, copy_into, training_tensors


def make(seed=0):
    torch.manual_seed(seed)
    network = torch.nn.Linear(3, 2)
    rates = [Rate([network.weight], 0.1, 0.001), Rate([network.bias], 0.02, 0.02)]
    return network, ScheduledAdam(rates, betas=(0.8, 0.9), eps=1e-6)


def test_steps_are_those_of_the_algorithm_with_falling_rates():
    network, adam = make()
    weight = network.weight.detach().double().clone()
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    target = torch.randn(2, 3)
    for step in range(1, 8):
        fraction = (step - 1) / 7
        loss = (network.weight - target).square().sum() + network.bias.sum()
        adam.step(loss, fraction)
        gradient = 2 * (weight - target)
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        rate = 0.1 * 0.01**fraction
        change = (mean / (1 - 0.8**step)) / ((square / (1 - 0.9**step)).sqrt() + 1e-6)
        weight = weight - rate * change
    torch.testing.assert_close(network.weight.detach().double(), weight, rtol=1e-4, atol=1e-5)


def test_the_fraction_may_be_a_tensor():
    networks = []
    for kind in (float, torch.tensor):
        network, adam = make()
        for fraction in (0.0, 0.4, 0.9):
            adam.step((network(torch.ones(3)) - 5).square().sum(), kind(fraction))
        networks.append(network)
    torch.testing.assert_close(networks[1].weight, networks[0].weight, rtol=1e-5, atol=1e-6)
    assert isinstance(adam.rates[0], torch.Tensor)


def test_adam_is_told_that_it_is_recorded_only_while_it_is(monkeypatch):
    network, adam = make()
    told = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for recorded in (False, True, False):
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda now=recorded: now)
        adam.step(network.weight.square().sum(), 0.5)
        told.append({group["capturable"] for group in adam._adam.param_groups})
    assert told == [{False}, {True}, {False}]


def test_a_training_goes_on_from_its_tensors():
    def learn(network, adam, steps):
        for _ in range(steps):
            adam.step((network(torch.ones(3)) - 5).square().sum(), 0.5)

    whole, cut = make(), make()
    learn(*whole, 9)
    learn(*cut, 4)
    saved = {name: value.detach().clone() for name, value in training_tensors(*cut).items()}
    again = make(seed=7)
    copy_into(training_tensors(*again), saved)
    learn(*again, 5)
    assert torch.equal(again[0].weight, whole[0].weight)


def test_what_does_not_fit_changes_nothing():
    network, adam = make()
    before = network.weight.clone()
    state = {name: value.detach() + 1 for name, value in training_tensors(network, adam).items()}
    wrong = {**state, "network.bias": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"network\.bias, got \(3,\)"):
        copy_into(training_tensors(network, adam), wrong)
    del state["network.bias"]
    with pytest.raises(ValueError, match=r"network\.bias"):
        copy_into(training_tensors(network, adam), state)
    assert torch.equal(network.weight, before)
