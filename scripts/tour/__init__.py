# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of `window_tour.py`: a virtual screen, a Blender that answers, the stops, the pictures."""
