# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.fields.latent_codes import TimeCodes, ViewCodes

TIMES = (0.0, 0.1, 1 / 3, 0.7, 1.0)


def test_at_its_own_time_a_code_is_exactly_that_code() -> None:
    codes = TimeCodes(TIMES, 4)
    assert torch.equal(codes(torch.tensor(TIMES)), codes.codes)


def test_in_between_codes_are_mixed_by_the_distance_in_time() -> None:
    codes = TimeCodes(TIMES, 4)
    mixed = codes(torch.tensor([0.2, 0.85]))
    share = (0.2 - 0.1) / (1 / 3 - 0.1)
    torch.testing.assert_close(mixed[0], (1 - share) * codes.codes[1] + share * codes.codes[2])
    torch.testing.assert_close(mixed[1], (codes.codes[3] + codes.codes[4]) / 2)


def test_before_the_first_and_after_the_last_time_codes_are_held() -> None:
    codes = TimeCodes((0.25, 0.75), 4)
    assert torch.equal(codes(torch.tensor([0.0, 1.0])), codes.codes)


def test_gradients_reach_the_two_codes_around_a_time() -> None:
    codes = TimeCodes(TIMES, 2)
    codes(torch.tensor([0.2])).sum().backward()
    assert codes.codes.grad.any(dim=-1).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("times", [(), (0.5,), (0.5, 0.5), (0.7, 0.2)])
def test_times_that_do_not_rise_are_refused(times: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rising"):
        TimeCodes(times, 4)


def test_new_cameras_take_the_mean_of_all_views() -> None:
    codes = ViewCodes(3, 2)
    assert torch.equal(codes(torch.tensor([2, 0, 2]), 3), codes.codes[[2, 0, 2]])
    torch.testing.assert_close(codes(None, 5), codes.codes.mean(dim=0).expand(5, 2))
    assert codes(None, 0).shape == (0, 2)
