# SPDX-License-Identifier: GPL-3.0-or-later
"""The still life of the demo, made from nothing but code."""

from .still_life import COLLECTION, build

__all__ = ["COLLECTION", "build"]
