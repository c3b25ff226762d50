# SPDX-License-Identifier: GPL-3.0-or-later
"""A field as a volume that Cycles integrates as the field itself is integrated."""

from pathlib import Path

import bpy

from .. import session
from ..compat import by_session_uid, march_volumes, vdb_module
from ..output_settings import VolumeProperties
from ..scene.errors import SceneError
from ..scene.placing import still_there
from ..scene.time_maps import times_along
from ..scene.volumes import put_volume, read_blocks, write_vdb
from ..worker.protocol import messages
from .bounds import crop_of
from .jobs import (
    OnField,
    Outcome,
    RefusedError,
    absolute,
    choose,
    device_of,
    do,
    field_of,
    frames_of,
    reporting,
    run_of,
    scene_of,
)


class NEURALFIELDS_OT_extract_volume(OnField, VolumeProperties, bpy.types.Operator):
    """Make a volume of the field, with a material by which Cycles renders what the field shows. Of
    a moving field it plays along the timeline
    """

    bl_idname = "neural_fields.extract_volume"
    bl_label = "Extract Volume"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        field, scene = field_of(context), scene_of(context)
        assert field is not None  # by poll
        stored = field.neural_field.volume
        names = ("resolution", "smallest_opacity", "largest_opacity", "output", "device")
        options = choose(self, stored, *names)
        run = run_of(field)
        try:
            with reporting(self):
                if vdb_module() is None:
                    raise SceneError(
                        "This Blender has no OpenVDB module for Python, so it cannot write "
                        "volumes.",
                        "Use Blender from blender.org, 4.4 or later.",
                    )
                times = self._times(scene, field)
                crop_min, crop_max = crop_of(self, stored, field)
            folder = absolute(options["output"]) or str(run / "outputs" / "volume")
            job = messages.ExtractVolume(
                job_id=session.new_job_id(),
                run=str(run),
                output=folder,
                frames=tuple(times),
                times=tuple(times.values()) if field.neural_field.moves else (),
                resolution=options["resolution"],
                crop_min=crop_min,
                crop_max=crop_max,
                smallest_opacity=options["smallest_opacity"],
                largest_opacity=options["largest_opacity"],
                device=device_of(options["device"]),
            )
            target = session.Target(scene=scene.session_uid, field=field.session_uid)
            do(self, job, "Extract volume", target, then=_bring_in)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def _times(self, scene: bpy.types.Scene, field: bpy.types.Object) -> dict[int, float]:
        stored = field.neural_field.volume
        frames = range(scene.frame_current, scene.frame_current + 1)
        if field.neural_field.moves and choose(self, stored, "animated")["animated"]:
            frames = frames_of(self, stored, scene)
        if frames.step != 1:
            raise SceneError(
                "Blender plays only sequences of volumes without gaps.",
                "Extract every frame: set the step to 1.",
            )
        return times_along(scene, field, frames)


def _bring_in(record: session.JobRecord) -> None:
    """Turns the worker's grids into .vdb files and shows them at the field."""
    event, field = record.answer, by_session_uid(bpy.data.objects, record.target.field)
    module = vdb_module()
    if field is None or not isinstance(event, messages.VolumeReady) or module is None:
        return
    files = []
    for name in event.files:
        source = Path(event.output) / name
        files.append(source.with_suffix(".vdb"))
        write_vdb(module, read_blocks(source), files[-1])
        source.unlink()
    settings = field.neural_field
    is_new = still_there(settings.volume_object) is None
    shown = put_volume(field, settings.volume_object, files, event.frames)
    settings.volume_object = shown
    shown["neural_field_run"] = settings.run
    shown["neural_field_resolution"] = getattr(record.job, "resolution", 0)
    record.note = f"{100 * event.share_filled:.2g} % of the box is filled"
    scene = by_session_uid(bpy.data.scenes, record.target.scene)
    # Once, with the first volume: whoever switches it back has reasons.
    if is_new and scene is not None and march_volumes(scene):
        record.note += (
            "; Cycles adds up this scene's volumes by steps now (Render, Volumes, Biased)"
        )


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_extract_volume)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_extract_volume)
