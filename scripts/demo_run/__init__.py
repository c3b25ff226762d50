# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of the demo, its figures and its report."""
