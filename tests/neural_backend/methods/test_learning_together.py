# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.neural_backend.methods import learn_together
from tests.tiny_capture import write_tiny_capture
from tests.torchrun import torchrun

PROCESSES = 2


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By two processes, and by one with batches of twice the size."""
    folder = tmp_path_factory.mktemp("together")
    capture = write_tiny_capture(folder / "capture", num_views=4, size=32)
    file = folder / "states.safetensors"
    finished = torchrun(learn_together.__file__, capture, file, processes=PROCESSES)
    assert finished.returncode == 0, finished.stderr
    return load_file(file), learn_together.states(Path(capture), PROCESSES)


@pytest.mark.parametrize("method", ["instant_ngp", "nerf", "deep_sdf"])
def test_two_processes_learn_what_one_does_from_both_batches(method: str, learned) -> None:
    together, alone = learned
    names = [name for name in alone if name.startswith(method + ".")]
    names = [name for name in names if not name.endswith(".schedule")]  # counts one's own rays
    assert len(names) > 4
    for name in names:
        # Adam divides by the root of a square: where a gradient is rounding errors, so is a step.
        torch.testing.assert_close(together[name], alone[name], rtol=2e-3, atol=2e-5, msg=name)
