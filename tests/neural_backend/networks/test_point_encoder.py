# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.networks.point_encoder import PointEncoder, ResidualBlock


def encoder() -> PointEncoder:
    made = PointEncoder(6, 8, blocks=3, generator=torch.Generator().manual_seed(0))
    # As if it had learned: second layers start at zero.
    for block in made.blocks:
        torch.nn.init.normal_(block.second.weight, generator=torch.Generator().manual_seed(1))
    return made


def test_the_order_of_points_does_not_matter():
    made, cloud = encoder(), torch.randn(2, 30, 3)
    order = torch.randperm(30)
    torch.testing.assert_close(made(cloud[:, order]), made(cloud))


def test_points_that_are_there_twice_count_once():
    made, cloud = encoder(), torch.randn(2, 30, 3)
    torch.testing.assert_close(made(torch.cat([cloud, cloud[:, :9]], dim=1)), made(cloud))


def test_clouds_do_not_see_each_other():
    made, cloud = encoder(), torch.randn(3, 30, 3)
    torch.testing.assert_close(made(cloud[1:2])[0], made(cloud)[1])


def test_a_point_that_is_moved_is_noticed_and_gradients_are_finite():
    made, cloud = encoder(), torch.randn(1, 10, 3)
    moved = cloud.clone()
    moved[0, 4] += 3
    assert not torch.allclose(made(moved), made(cloud))
    far = (1e4 * cloud).requires_grad_()
    made(far).sum().backward()
    assert far.grad.isfinite().all()
    assert far.grad.abs().sum() > 0


def test_a_residual_block_starts_as_its_shortcut():
    inputs = torch.randn(7, 4)
    same = ResidualBlock(4, 4)
    torch.testing.assert_close(same(inputs), inputs)
    other = ResidualBlock(4, 6)
    torch.testing.assert_close(other(inputs), other.shortcut(inputs))


def test_an_encoder_without_blocks_is_refused():
    with pytest.raises(ValueError, match="at least one block"):
        PointEncoder(4, 8, blocks=0)
