# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker process, seen from Blender's side: no bpy here, so plain Python tests it."""
