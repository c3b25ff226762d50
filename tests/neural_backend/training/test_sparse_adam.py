# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.training.sparse_adam import SparseAdam


@pytest.mark.parametrize("channels", [16, 3, 32])
def test_it_is_adam_without_momentum_where_every_row_is_touched(channels: int) -> None:
    """Rows of any width: three channels are an exposure, sixteen fill the kernel's vectors."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(40, channels, generator=generator)
    ours = SparseAdam(start.clone(), parts=3, beta2=0.99)
    theirs = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.0, 0.99), eps=1e-8)
    for _ in range(5):
        parts = torch.randn(3, 40, channels, generator=generator)
        ours.gradients += parts
        ours.touched.fill_(1)
        ours.update(torch.full((channels,), 0.1), 0.5)
        theirs.grad = 0.5 * parts.sum(dim=0)
        adam.step()
    torch.testing.assert_close(ours.values, theirs.data, atol=1e-5, rtol=1e-4)
    assert not ours.gradients.any()
    assert not ours.touched.any()


def test_untouched_rows_keep_values_and_squares() -> None:
    adam = SparseAdam(torch.ones(4, 16), parts=2)
    adam.gradients.fill_(1.0)
    adam.touched[2] = 1
    adam.update(torch.full((16,), 0.1), 1.0)
    assert (adam.values[[0, 1, 3]] == 1).all()
    assert (adam.squares[[0, 1, 3]] == 0).all()
    assert (adam.values[2] < 1).all()


@pytest.mark.parametrize("parts", [1, 3])
def test_smoothing_draws_each_row_to_the_mean_of_the_neighbours_that_are_there(parts: int) -> None:
    generator = torch.Generator()
    generator.seed()
    size = 5
    index = torch.full((size + 2,) * 3, -1, dtype=torch.int32)
    inner = torch.rand(size, size, size, generator=generator) < 0.6
    index[1:-1, 1:-1, 1:-1][inner] = torch.arange(int(inner.sum()), dtype=torch.int32)
    cells = (index.view(-1) >= 0).nonzero()[:, 0].int()
    values = torch.randn(len(cells), 16, generator=generator)
    shares = torch.linspace(0, 1, 16)
    expected = values.clone()
    for x, y, z in inner.nonzero().tolist():
        at = torch.tensor([x + 1, y + 1, z + 1])
        steps = torch.cat([torch.eye(3), -torch.eye(3)]).long()
        found = [int(index[tuple(at + step)]) for step in steps]
        stored = [row for row in found if row >= 0]
        if stored:
            row = int(index[tuple(at)])
            expected[row] += shares * (values[stored].mean(dim=0) - values[row])

    adam = SparseAdam(values, parts)
    _, ny, nz = index.shape
    adam.smooth(cells, index, (ny * nz, -ny * nz, nz, -nz, 1, -1), shares)
    torch.testing.assert_close(adam.values, expected)
    assert not adam.gradients.any()


def test_a_resumed_optimiser_goes_on_exactly() -> None:
    first, second = SparseAdam(torch.ones(3, 2)), SparseAdam(torch.zeros(3, 2))
    first.step(torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, -1.0]]), 0.1)
    second.load_state(first.state())
    for adam in (first, second):
        adam.step(torch.full((3, 2), 0.3), 0.1)
    assert torch.equal(first.values, second.values)
    with pytest.raises(RuntimeError):
        SparseAdam(torch.zeros(4, 2)).load_state(first.state())


def test_steps_may_be_counted_and_rates_told_on_the_device() -> None:
    gradient = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, -1.0]])
    here, there = SparseAdam(torch.ones(3, 2)), SparseAdam(torch.ones(3, 2))
    there.steps = counted = torch.zeros((), dtype=torch.long)
    for rate in (0.1, 0.02, 0.3):
        here.step(gradient, rate)
        there.step(gradient, torch.tensor(rate))
    torch.testing.assert_close(there.values, here.values, rtol=1e-4, atol=1e-5)
    assert int(counted) == 3
    assert {name: value.dtype for name, value in there.state().items()} == {
        name: value.dtype for name, value in here.state().items()
    }
    saved = {name: value.clone() for name, value in there.state().items()}
    there.step(gradient, 0.1)
    there.load_state(saved)
    # A recorded step goes on with the tensor that it knows.
    assert there.steps is counted
    assert int(counted) == 3
    assert isinstance(SparseAdam(torch.ones(3, 2, device="meta")).steps, torch.Tensor)


def test_the_number_of_steps_that_was_saved_stays_as_it_was() -> None:
    adam = SparseAdam(torch.ones(3, 2))
    adam.steps = torch.zeros((), dtype=torch.long)
    saved = adam.state()
    adam.step(torch.ones(3, 2), 0.1)
    assert saved["steps"] == 0
