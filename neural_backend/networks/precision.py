# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic that MLPs are fastest in."""

import torch


def has_fast_bf16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are native, so that they pay."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # Only private before torch 2.10; a version without them gets float32, which is always right.
    tests = (
        getattr(torch.cpu, name, None)
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    return any(test is not None and test() for test in tests)


def mlp_autocast(device: torch.device, enabled: bool = True) -> torch.autocast:
    """The context to run MLPs in: bfloat16 products where they are fast, else no change."""
    usable = enabled and has_fast_bf16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=usable)
