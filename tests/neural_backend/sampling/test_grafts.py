# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.sampling.grafts import Grafts, draw_grafts

CPU = torch.device("cpu")


@pytest.fixture
def generator() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


def samples(value: float, generator: torch.Generator, count: int = 200):
    points = torch.rand(3, count, 3, generator=generator) * 2 - 1
    return points, torch.full((3, count), value)


def test_each_side_of_the_plane_has_the_samples_of_its_shape(generator: torch.Generator) -> None:
    grafts = draw_grafts(3, generator, CPU)
    above, below = samples(1.0, generator), samples(-1.0, generator)
    points, values = grafts.join(above, below, generator)
    assert points.shape == above[0].shape
    for shape in range(3):
        along = points[shape, :, grafts.axes[shape]]
        assert torch.equal(values[shape] > 0, along > grafts.places[shape])
        known = {tuple(one) for one in torch.cat([above[0], below[0]], dim=1)[shape].tolist()}
        assert {tuple(one) for one in points[shape].tolist()} <= known


def test_a_shape_joined_with_itself_is_sampled_on_both_sides(generator: torch.Generator) -> None:
    grafts = Grafts(torch.zeros(3).long(), torch.zeros(3))
    points, _ = grafts.join(samples(0.0, generator), samples(0.0, generator), generator)
    share = (points[..., 0] > 0).float().mean()
    assert 0.35 < share < 0.65


def test_few_samples_on_their_sides_are_repeated(generator: torch.Generator) -> None:
    grafts = Grafts(torch.zeros(1).long(), torch.zeros(1))
    above = torch.tensor([[[0.5, 0, 0], [-0.5, 0, 0], [-0.6, 0, 0]]]), torch.ones(1, 3)
    below = torch.tensor([[[0.5, 1, 0], [0.6, 0, 0], [0.7, 0, 0]]]), -torch.ones(1, 3)
    points, values = grafts.join(above, below, generator)
    assert points.tolist() == [[[0.5, 0, 0]] * 3]
    assert values.tolist() == [[1.0] * 3]


def test_where_no_sample_is_on_its_side_all_count(generator: torch.Generator) -> None:
    grafts = Grafts(torch.zeros(1).long(), torch.zeros(1))
    above = torch.tensor([[[-0.5, 0, 0]]]), torch.ones(1, 1)
    below = torch.tensor([[[0.5, 0, 0]]]), -torch.ones(1, 1)
    points, _ = grafts.join(above, below, generator)
    assert abs(points[0, 0, 0].item()) == 0.5
