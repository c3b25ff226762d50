# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the Blender of the tour and answers questions about its window; changes no data.

`blender --python inside_blender.py -- FOLDER`: a question is `ask.json` in the folder, its answer
`answer.json`. What happens in Blender happens by the mouse; this only says where things are.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

TAB = "Neural Fields"
PANELS = "NEURALFIELDS_PT_"
PACKAGE = "bl_ext.user_default.neural_fields"
SECONDS_BETWEEN_LOOKS = 0.01


def regions() -> list[dict[str, Any]]:
    """Every region of every window: its corner, counted from the screen's lower left, and size."""
    found = []
    for number, window in enumerate(bpy.context.window_manager.windows):
        for area_number, area in enumerate(window.screen.areas):
            found += [
                {
                    "window": number,
                    "area": area_number,
                    "area_type": area.ui_type,
                    "region": region.type,
                    "x": window.x + region.x,
                    "y": window.y + region.y,
                    "width": region.width,
                    "height": region.height,
                }
                for region in area.regions
                if region.width > 1 and region.height > 1
            ]
    return found


def view_and_sidebar(window: int = 0) -> tuple[Any, Any, Any]:
    """The window, its 3D view and that one's sidebar."""
    shown = bpy.context.window_manager.windows[window]
    area = max(
        (one for one in shown.screen.areas if one.type == "VIEW_3D"),
        key=lambda one: one.width * one.height,
    )
    return shown, area, next(one for one in area.regions if one.type == "UI")


def open_sidebar() -> str:
    """Opens it; its tab is known only once it has been drawn, so ask again for that."""
    bpy.context.preferences.view.show_splash = False
    _, area, region = view_and_sidebar()
    area.spaces[0].show_region_ui = True
    return region.active_panel_category


def scale() -> float:
    """Pixels a button is high, divided by 20."""
    return bpy.context.preferences.system.ui_scale


def panels() -> list[dict[str, Any]]:
    """The add-on's panels in the tab, in the order in which they are registered."""
    return [
        {
            "id": kind.bl_idname,
            "parent": getattr(kind, "bl_parent_id", ""),
            "order": getattr(kind, "bl_order", 0),
            "closed": "DEFAULT_CLOSED" in getattr(kind, "bl_options", ()),
            "shown": _is_shown(kind),
        }
        for kind in _panel_classes()
    ]


def mark_headers() -> int:
    """Puts an unseen button into each panel's header, by which the mouse can recognise it.

    Blender tells scripts where its regions are, but not where a region's panels are.
    """
    kinds = _panel_classes()
    for kind in reversed(kinds):
        bpy.utils.unregister_class(kind)
    for kind in kinds:
        own = getattr(kind, "draw_header_preset", None)
        kind.draw_header_preset = _marked(kind.bl_idname, own)
        bpy.utils.register_class(kind)
    return len(kinds)


def _marked(name: str, own: Callable[[Any, Any], None] | None) -> Callable[[Any, Any], None]:
    def draw_header_preset(self: Any, context: Any) -> None:
        if own is not None:
            own(self, context)
        mark = self.layout.operator("wm.context_set_string", text="", emboss=False)
        mark.data_path = name

    return draw_header_preset


def _panel_classes() -> list[Any]:
    """Parents come before their children."""
    found = [
        kind
        for kind in bpy.types.Panel.__subclasses__()
        if getattr(kind, "bl_idname", kind.__name__).startswith(PANELS)
        and getattr(kind, "bl_category", TAB) == TAB
        and getattr(kind, "is_registered", False)
    ]
    parents = [kind for kind in found if not getattr(kind, "bl_parent_id", "")]
    ordered = sorted(parents, key=lambda kind: getattr(kind, "bl_order", 0))
    for kind in ordered:  # grows while it is read: children of children come too
        ordered += [
            child for child in found if getattr(child, "bl_parent_id", "") == kind.bl_idname
        ]
    return ordered


def _is_shown(kind: Any) -> bool:
    poll = getattr(kind, "poll", None)
    window, area, region = view_and_sidebar()
    with bpy.context.temp_override(window=window, area=area, region=region):
        return poll is None or bool(poll(bpy.context))


def under_mouse(window: int, area: int, region: str) -> str:
    """The button under the mouse, as Python writes it: an operator's call or a property's path."""
    shown = bpy.context.window_manager.windows[window]
    place = shown.screen.areas[area]
    part = next(one for one in place.regions if one.type == region)
    manager = bpy.context.window_manager
    with bpy.context.temp_override(window=shown, area=place, region=part):
        for ask, options in (
            (bpy.ops.ui.copy_python_command_button, {}),
            (bpy.ops.ui.copy_data_path_button, {"full_path": True}),
        ):
            if ask.poll():
                manager.clipboard = ""
                ask(**options)
                if manager.clipboard:
                    return manager.clipboard
    return ""


def scene() -> dict[str, Any]:
    """What is in the scene, and how the jobs are."""
    session = next(
        module for name, module in sys.modules.items() if name.endswith(".addon.session")
    )
    return {
        "objects": [
            {
                "name": item.name,
                "type": item.type,
                "vertices": len(item.data.vertices) if item.type == "MESH" else 0,
                "visible": item.visible_get(),
                "run": item.neural_field.run,
                "psnr": item.neural_field.psnr,
            }
            for item in bpy.context.scene.objects
        ],
        "jobs": [
            {
                "label": record.label,
                "state": record.state,
                "problem": record.problem,
                "done": record.progress.done if record.progress else 0,
                "total": record.progress.total if record.progress else 0,
                "step": getattr(record.progress, "step", 0),
                "run": getattr(record.job, "run", ""),
            }
            for record in session.jobs()
        ],
        "engine": bpy.context.scene.render.engine,
        "rendering": bpy.app.is_job_running("RENDER"),
        "windows": len(bpy.context.window_manager.windows),
        "selected": [item.name for item in bpy.context.selected_objects],
    }


def about() -> dict[str, Any]:
    """Which Blender this is, whether the add-on is at work in it, and looks at a Python."""
    package = f"{PACKAGE}.addon.environment_state"
    return {
        "looking": package in sys.modules and sys.modules[package].is_busy(),
        "version": bpy.app.version_string,
        "enabled": PACKAGE in bpy.context.preferences.addons,
        "heavy": sorted({"torch", "numba", "scipy"} & set(sys.modules)),
        "operators": sorted(dir(bpy.ops.neural_fields)),
    }


def open_preferences() -> bool:
    """Blender's preferences in a window of their own, with the add-on's unfolded."""
    bpy.ops.screen.userpref_show()
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = TAB
    return "FINISHED" in bpy.ops.preferences.addon_expand(module=PACKAGE)


def close_window(window: int) -> bool:
    shown = bpy.context.window_manager.windows[window]
    with bpy.context.temp_override(window=shown):
        return "FINISHED" in bpy.ops.wm.window_close()


def shade(kind: str, camera: bool = True) -> bool:
    """The 3D view's shading, as its buttons set it; seen through the scene's camera."""
    _, area, _ = view_and_sidebar()
    area.spaces[0].shading.type = kind
    if camera:
        area.spaces[0].region_3d.view_perspective = "CAMERA"
    area.tag_redraw()
    return True


def look_through(name: str) -> bool:
    """Has the 3D view show what a camera sees, with the picture behind it."""
    bpy.context.scene.camera = bpy.data.objects[name]
    return shade("SOLID")


def choose_engine(engine: str) -> list[str]:
    """Sets the scene's render engine and says which there are."""
    bpy.context.scene.render.engine = engine
    return [getattr(kind, "bl_idname", "") for kind in bpy.types.RenderEngine.__subclasses__()]


def put(path: str, value: Any) -> Any:
    """Types a value into a setting of the scene, named by its path from there; what was there."""
    owner, _, name = path.rpartition(".")
    data = bpy.context.scene.path_resolve(owner) if owner else bpy.context.scene
    before = getattr(data, name)
    setattr(data, name, value)
    return before if isinstance(before, (bool, int, float, str)) else None


def choose_object(name: str) -> bool:
    """Selects an object alone, as a click in the outliner does."""
    for item in bpy.context.view_layer.objects:
        item.select_set(item.name == name)
    bpy.context.view_layer.objects.active = bpy.context.view_layer.objects[name]
    return True


def open_window() -> int:
    """A second main window with the same scene; how many there are."""
    bpy.ops.wm.window_new_main()
    return len(bpy.context.window_manager.windows)


_renders: dict[str, int] = {}


def renders() -> dict[str, int]:
    """How many pictures were rendered whole since this was asked first, and how many were not."""
    if not _renders:
        _renders.update(complete=0, cancel=0)
        for name in _renders:
            getattr(bpy.app.handlers, f"render_{name}").append(
                lambda *_, name=name: _renders.update({name: _renders[name] + 1})
            )
    return dict(_renders)


def captures() -> list[str]:
    """The folders of captures that are complete, oldest first."""
    runs = sys.modules[f"{PACKAGE}.addon.preferences"].runs_folder()
    found = sorted(runs.glob("*/transforms.json"), key=lambda path: path.stat().st_mtime)
    return [str(path.parent) for path in found]


def import_capture(path: str) -> bool:
    """Chooses a folder in the file browser of Import Capture."""
    return "FINISHED" in bpy.ops.neural_fields.import_capture(filepath=path)


def animate(name: str, frames: int) -> bool:
    """Keys with which an object rises and turns."""
    item = bpy.data.objects[name]
    for frame, turn, rise in ((1, 0.0, 0.0), (frames, 1.5, 0.4)):
        item.rotation_euler[2], item.location[2] = turn, rise
        item.keyframe_insert("rotation_euler", frame=frame)
        item.keyframe_insert("location", frame=frame)
    return True


def run_exists(run: str) -> bool:
    return (Path(run) / "run.json").is_file()


def shown_live() -> dict[str, int]:
    """The pictures of a training that the panel shows: their icons' numbers, 0 for none."""
    live = sys.modules[f"{PACKAGE}.addon.live_pictures"]
    return {name: live.icon_of(name) for name in (live.CURVE, live.PREVIEW)}


def quit_blender() -> bool:
    bpy.app.timers.register(bpy.ops.wm.quit_blender, first_interval=0.3)
    return True


ANSWERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        about, animate, captures, choose_engine, choose_object, close_window, import_capture,
        look_through, mark_headers, open_preferences, open_sidebar, open_window, panels, put,
        quit_blender, regions, renders, run_exists, scale, scene, shade, shown_live, under_mouse,
    )
}  # fmt: skip


def answer(folder: Path) -> float:
    """A timer's function: answers the question that lies in the folder, if there is one."""
    question = folder / "ask.json"
    if question.is_file():
        asked = json.loads(question.read_text(encoding="utf-8"))
        question.unlink()
        try:
            said = {"answer": ANSWERS[asked["ask"]](**asked["about"])}
        except Exception as error:  # the tour is told, and ends with it
            said = {"problem": f"{type(error).__name__}: {error}"}
        written = folder / "answer.part"
        written.write_text(json.dumps({"number": asked["number"], **said}), encoding="utf-8")
        written.rename(folder / "answer.json")
    return SECONDS_BETWEEN_LOOKS


if __name__ == "__main__":
    place = Path(sys.argv[sys.argv.index("--") + 1])
    sys.path.append(str(Path(__file__).parent))
    from inside_timing import Stopwatch

    folder = PACKAGE.replace(".", "/").removeprefix("bl_ext/")
    stopwatch = Stopwatch(folder, apart="begin_render")
    ANSWERS.update(watch_times=stopwatch.start, longest_times=stopwatch.take)
    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(lambda: answer(place), persistent=True)
