# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.instant_ngp import InstantNGPField
from neural_backend.kernels.hash_grid import hash_grid_layout
from neural_backend.kernels.instant_ngp_types import RayTargets
from neural_backend.methods.sample_places import place_by_torch, place_samples

BOUNDS = torch.tensor([[-1.5, -3.0, 0.0], [2.5, 1.0, 4.0]])


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("slots", [0, 1, 256, 1000])
@pytest.mark.parametrize("farthest", [0.0, 2.0, 1e6])
def test_triton_places_samples_where_the_twin_does(unbounded, slots, farthest, triton) -> None:
    generator = torch.Generator().manual_seed(slots)
    origins, directions = torch.randn(2, 20, 3, generator=generator)
    directions = F.normalize(directions, dim=-1)
    owners = torch.randint(20, (slots,), generator=generator, dtype=torch.int32)
    t_mids = farthest * torch.rand(slots, generator=generator)
    field = InstantNGPField(hash_grid_layout(1, 2, 6, 2, 2), BOUNDS, unbounded)

    def rays(to: torch.device | torch.dtype) -> RayTargets:
        return RayTargets(origins.to(to), directions.to(to), *[torch.zeros(0)] * 7)

    there = owners.to(triton), t_mids.to(triton)
    found = place_samples(rays(triton), *there, copy.deepcopy(field).to(triton))
    exact = rays(torch.float64), owners, t_mids.double()
    expected = place_by_torch(*exact, copy.deepcopy(field).double())
    for part, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(part.cpu().double(), wanted, rtol=1e-5, atol=1e-5)
    if unbounded:
        assert ((found[0] >= 0) & (found[0] <= 1)).all()
