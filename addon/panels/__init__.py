# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab in the 3D view's sidebar, a file a subject. Drawing reads properties and the session."""
