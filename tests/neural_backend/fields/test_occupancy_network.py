# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.fields.occupancy_network import OccupancyNetworkField

BOUNDS = torch.tensor([[-1.0] * 3, [1.0] * 3])


def field() -> OccupancyNetworkField:
    made = OccupancyNetworkField(
        BOUNDS, 6, 8, 16, 2, 1, threshold=0.2, generator=torch.Generator().manual_seed(0)
    )
    generator = torch.Generator().manual_seed(1)
    for block in made.blocks:
        torch.nn.init.normal_(block.layers[1].weight, generator=generator)
        torch.nn.init.normal_(block.norms[0].scale.weight, generator=generator)
    return made.eval()


def test_many_shapes_at_once_are_as_one_after_another():
    made, points, clouds = field(), torch.randn(3, 11, 3), torch.randn(3, 20, 3)
    codes = made.encode(clouds)
    together = made.each(points, codes)
    for number in range(3):
        alone = made(points[number], made.encode(clouds[number : number + 1])[0])
        torch.testing.assert_close(together[number], alone)


def test_the_surface_lies_where_the_chance_is_the_threshold():
    surface = field().isosurface(torch.zeros(6))
    assert surface.inside_above
    assert math.isclose(1 / (1 + math.exp(-surface.level)), 0.2)


def test_asking_for_the_surface_does_not_count_as_training():
    made, code = field().train(), torch.randn(6)
    before = made.norm.mean.clone()
    points = torch.randn(30, 3)
    surface = made.isosurface(code)
    first = surface.signed(points)
    torch.testing.assert_close(surface.signed(points[:3]), first[:3])
    assert torch.equal(made.norm.mean, before)


def test_without_a_code_there_is_no_shape():
    with pytest.raises(ValueError, match="code"):
        field()(torch.zeros(1, 3))
