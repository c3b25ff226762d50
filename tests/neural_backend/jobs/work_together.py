# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a test through torchrun: the command line, several times over in the same processes.

Arguments are command lines, cut by `then`; the exit statuses are printed by each process.
"""

import sys

import torch

from neural_backend.cli import main
from neural_backend.kernels import process_group
from tests import analytic_motion


def commands(words: list[str]) -> list[list[str]]:
    """The command lines between the words `then`."""
    lines: list[list[str]] = [[]]
    for word in words:
        if word == "then":
            lines.append([])
        else:
            lines[-1].append(word)
    return lines


if __name__ == "__main__":
    torch.set_num_threads(1)
    analytic_motion.register()
    statuses = [main(line) for line in commands(sys.argv[1:])]
    sys.stdout.write(f"process {process_group.rank()}: {statuses}\n")
