# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.networks.conditional_resnet import (
    ConditionalBatchNorm,
    ConditionalResidualBlock,
)


def norm() -> ConditionalBatchNorm:
    torch.manual_seed(0)
    made = ConditionalBatchNorm(4, 3).double()
    for layer in (made.scale, made.shift):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    return made


def slow(made, inputs, codes, mean, variance):
    """One number after another, from the definition."""
    result = torch.zeros_like(inputs)
    for shape in range(inputs.shape[0]):
        scale = made.scale.weight @ codes[shape] + made.scale.bias
        shift = made.shift.weight @ codes[shape] + made.shift.bias
        for point in range(inputs.shape[1]):
            for channel in range(inputs.shape[2]):
                value = inputs[shape, point, channel] - mean[channel]
                value = value / (variance[channel] + made.eps) ** 0.5
                result[shape, point, channel] = scale[channel] * value + shift[channel]
    return result


def data():
    generator = torch.Generator().manual_seed(1)
    inputs = 3 * torch.randn(2, 5, 3, generator=generator, dtype=torch.float64) + 1
    codes = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    return inputs.requires_grad_(), codes.requires_grad_()


def test_training_normalises_over_all_points_of_all_shapes():
    made, (inputs, codes) = norm(), data()
    outputs = made(inputs, codes)
    flat = inputs.reshape(-1, 3)
    mean = flat.mean(dim=0)
    variance = (flat - mean).square().mean(dim=0)
    expected = slow(made, inputs, codes, mean, variance)
    torch.testing.assert_close(outputs, expected)
    weights = torch.randn(outputs.shape, dtype=torch.float64)
    ours = torch.autograd.grad((outputs * weights).sum(), (inputs, codes))
    theirs = torch.autograd.grad((expected * weights).sum(), (inputs, codes))
    torch.testing.assert_close(ours, theirs)


def test_afterwards_the_running_mean_and_variance_count():
    made, (inputs, codes) = norm(), data()
    for _ in range(200):
        made(inputs, codes)
    made.eval()
    flat = inputs.reshape(-1, 3)
    torch.testing.assert_close(made.mean, flat.mean(dim=0).detach())
    torch.testing.assert_close(made.variance, flat.var(dim=0, correction=0).detach())
    expected = slow(made, inputs, codes, made.mean, made.variance)
    torch.testing.assert_close(made(inputs, codes), expected)
    before = made.mean.clone()
    made(inputs + 100, codes)
    assert torch.equal(made.mean, before)


def test_at_first_it_is_plain_batch_normalisation():
    made, inputs = ConditionalBatchNorm(4, 3), torch.randn(2, 9, 3) * 5 - 2
    outputs = made(inputs, torch.randn(2, 4))
    plain = torch.nn.functional.batch_norm(
        inputs.reshape(-1, 3), None, None, training=True, eps=made.eps
    )
    torch.testing.assert_close(outputs.reshape(-1, 3), plain)


def test_a_constant_channel_has_finite_gradients():
    made = ConditionalBatchNorm(4, 3)
    inputs = torch.full((1, 6, 3), 1e3, requires_grad=True)
    outputs = made(inputs, torch.ones(1, 4))
    outputs.square().sum().backward()
    assert outputs.isfinite().all()
    assert inputs.grad.isfinite().all()


def test_a_block_starts_as_the_identity_and_learns_from_the_code():
    block = ConditionalResidualBlock(4, 8, torch.Generator().manual_seed(0))
    inputs, codes = torch.randn(2, 5, 8), torch.randn(2, 4)
    torch.testing.assert_close(block(inputs, codes), inputs)
    with torch.no_grad():
        block.layers[1].weight.normal_()
        block.norms[0].shift.weight.normal_()
    first = block(inputs, codes)
    assert not torch.allclose(block(inputs, codes.flip(0)), first)
