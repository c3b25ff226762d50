# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages between the add-on and the worker; standard library only."""
