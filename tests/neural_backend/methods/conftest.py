# SPDX-License-Identifier: GPL-3.0-or-later
"""Torch's meta device in the place of a graphics card: it has no values, but is not the CPU."""

import contextlib

import pytest
import torch

META = torch.device("meta")


class MetaGenerator:
    """Random numbers without values need no seed."""

    device = META

    def manual_seed(self, _: int) -> "MetaGenerator":
        return self


@pytest.fixture
def meta(monkeypatch) -> torch.device:
    """The meta device, with what torch has for CUDA and not for it."""
    generator, autocast = torch.Generator, torch.autocast

    class Generators:
        def __new__(cls, device="cpu"):
            return MetaGenerator() if torch.device(device) == META else generator(device)

    def without_seed(draw):
        def drawn(*shape, generator=None, **options):
            seed = {} if isinstance(generator, MetaGenerator) else {"generator": generator}
            return draw(*shape, **seed, **options)

        return drawn

    def in_any_precision(device: str, **options):
        return contextlib.nullcontext() if device == "meta" else autocast(device, **options)

    monkeypatch.setattr(torch, "Generator", Generators)
    for name in ("rand", "randint", "randn", "randperm"):
        monkeypatch.setattr(torch, name, without_seed(getattr(torch, name)))
    monkeypatch.setattr(torch, "autocast", in_any_precision)
    return META
