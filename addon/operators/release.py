# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that the workers keep for the next picture, given back."""

import bpy

from .. import frames, session
from .jobs import Outcome


class NEURALFIELDS_OT_release_memory(bpy.types.Operator):
    """Free the memory of the fields that are kept for the next picture, on the graphics card too.
    The next one takes a few seconds longer
    """

    bl_idname = "neural_fields.release_memory"
    bl_label = "Release Memory"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if frames.is_running() or session.worker() is not None:
            return True
        cls.poll_message_set("No worker runs, so nothing is kept in memory")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        frames.stop(wait=bpy.app.background)
        session.release_fields()
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_release_memory)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_release_memory)
