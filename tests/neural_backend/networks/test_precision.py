# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.networks import precision


def test_products_run_in_bf16_where_that_is_fast(monkeypatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: True)
    matrix = torch.ones(2, 2)
    with precision.mlp_autocast(torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.bfloat16
    with precision.mlp_autocast(torch.device("cpu"), enabled=False):
        assert (matrix @ matrix).dtype == torch.float32


def test_products_stay_as_they_are_elsewhere(monkeypatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: False)
    matrix = torch.ones(2, 2)
    with precision.mlp_autocast(torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.float32


def test_a_torch_without_the_test_for_amx_has_no_fast_bf16(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert not precision.has_fast_bf16(torch.device("cpu"))
