# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a job computes."""

import warnings
from collections.abc import Iterator

import torch

from ..kernels.triton_use import what_triton_lacks
from ..protocol.errors import JobError
from ..protocol.messages import Event, Progress, Warned


def available_devices() -> tuple[str, ...]:
    """The names that a job's `device` may have here, besides `auto`."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def _why_no_cuda() -> JobError:
    if torch.version.cuda is None:
        return JobError(
            "This torch computes on CPUs alone.",
            "Choose the device cpu or auto, or install a CUDA build of torch.",
        )
    # Torch warns where there is a card that it cannot use.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    if told:
        return JobError(
            f"The graphics card cannot be used: {str(told[0].message).splitlines()[0]}",
            "Choose the device cpu or auto, or renew the card's driver.",
        )
    return JobError(
        "There is no usable CUDA device in this computer.",
        "Choose the device cpu or auto, or install the card's driver.",
    )


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for.

    Raises:
        JobError: where there is no such device.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(devices[-1])
    if name == "cuda" and "cuda" not in devices:
        raise _why_no_cuda()
    if name not in devices:
        raise JobError(f"There is no device {name!r}.", "Choose auto, cpu or cuda.")
    return torch.device(name)


def start_device(device: torch.device, job_id: str) -> Iterator[Event]:
    """Starts CUDA and Triton, which may have to build its driver, and says what Triton lacks."""
    if device.type == "cuda":
        yield Progress(job_id=job_id, stage="starting CUDA", done=0, total=1, unit="")
        if lacking := what_triton_lacks():
            yield Warned(job_id=job_id, message=lacking)
