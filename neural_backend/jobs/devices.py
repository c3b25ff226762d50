# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a job computes."""

import torch

from ..protocol.errors import JobError


def available_devices() -> tuple[str, ...]:
    """The names that a job's `device` may have here, besides `auto`."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for.

    Raises:
        JobError: where there is no such device.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(devices[-1])
    if name == "cuda" and "cuda" not in devices:
        raise JobError(
            "There is no usable CUDA device in this computer.",
            "Choose the device cpu or auto, or install a CUDA build of torch and its driver.",
        )
    if name not in devices:
        raise JobError(f"There is no device {name!r}.", "Choose auto, cpu or cuda.")
    return torch.device(name)
