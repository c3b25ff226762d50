# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job message to its events; the worker, the command line and Python all enter here."""

from .base import run, start

__all__ = ["run", "start"]
