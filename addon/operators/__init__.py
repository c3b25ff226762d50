# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's buttons, which are also its commands for scripts."""
