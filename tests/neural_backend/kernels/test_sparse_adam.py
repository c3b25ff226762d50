# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.training.sparse_adam import SparseAdam


@pytest.mark.parametrize("channels", [3, 16, 32])
@pytest.mark.parametrize("rows", [0, 1, 500])
@pytest.mark.parametrize("louder", [0.0, 1e-12, 1.0, 1e8])
def test_each_twin_moves_the_touched_rows_as_plain_torch_does(
    channels, rows, louder, device
) -> None:
    found = SparseAdam(torch.randn(rows, channels).to(device), beta2=0.9)
    exact = SparseAdam(found.values.double().cpu(), beta2=0.9)
    rates = torch.rand(channels)
    for _ in range(3):
        before = exact.values.clone()
        touched = torch.rand(rows) < 0.4
        slopes = louder * torch.randn(rows, channels) * touched[:, None]
        for adam in (found, exact):
            adam.gradients[0] = slopes.to(adam.values)
            adam.touched[:] = touched.to(adam.touched)
        found.update(rates.to(device), 0.5)
        exact._update_by_torch(rates.double(), 1 / (1 - 0.9 ** int(found.steps)), 0.5)
        for part, wanted in ((found.values, exact.values), (found.squares, exact.squares)):
            torch.testing.assert_close(part.double().cpu(), wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(exact.values[~touched], before[~touched])
        assert not found.gradients.any()
        assert not found.touched.any()
