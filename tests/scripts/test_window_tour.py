# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the tour that need no window: what it runs, asks, finds and keeps."""

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from scripts import window_tour as command

from_the_script = sys.modules["tour.screen"]
Screen, SharedFolder = from_the_script.Screen, from_the_script.SharedFolder
TourError = from_the_script.TourError

from tour import conversation, pictures, sidebar, stops, training_stops  # noqa: E402


def test_commands_stand_behind_the_prefix_with_their_variables() -> None:
    screen = Screen(":5", prefix=("chroot", "/srv/b"), variables={"A": "1"})
    assert screen.command("blender", "-b") == [
        "chroot", "/srv/b", "env", "DISPLAY=:5", "A=1", "blender", "-b",
    ]  # fmt: skip


def test_programs_that_are_missing_are_named_with_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("env", "sh"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    screen = Screen(prefix=("/usr/bin/env", f"PATH={tmp_path / 'bin'}"))
    with pytest.raises(TourError, match=r"apt-get install xvfb xdotool imagemagick"):
        screen.start(tmp_path / "log")


def test_a_prefix_that_is_no_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(TourError, match="prefix cannot be run"):
        Screen(prefix=("/no/such/program",)).start(tmp_path / "log")


def test_a_click_comes_after_the_mouse_has_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_the_script.time, "sleep", lambda _: None)
    said = tmp_path / "said"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "xdotool").write_text(f'#!/bin/sh\necho "$@" >>{said}\n')
    (tmp_path / "bin" / "xdotool").chmod(0o755)
    screen = Screen(variables={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    screen.click(10.4, 20.6, holding="ctrl")
    assert said.read_text().splitlines() == [
        "mousemove 10 21", "keydown ctrl", "click 1", "keyup ctrl",
    ]  # fmt: skip


def test_a_key_goes_to_the_window_under_the_mouse_and_a_drag_holds_its_button(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_the_script.time, "sleep", lambda _: None)
    said = tmp_path / "said"
    (tmp_path / "bin").mkdir()
    program = (
        f'#!/bin/sh\necho "$@" >>{said}\n[ $1 = getmouselocation ] && echo WINDOW=77\nexit 0\n'
    )
    (tmp_path / "bin" / "xdotool").write_text(program)
    (tmp_path / "bin" / "xdotool").chmod(0o755)
    screen = Screen(variables={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    screen.press("F12")
    assert said.read_text().splitlines() == [
        "getmouselocation --shell", "windowfocus 77", "key 96",
    ]  # fmt: skip
    screen.press("Escape")
    assert said.read_text().splitlines()[-1] == "key Escape"
    said.unlink()
    screen.drag((10, 20), (34, 8), from_the_script.MIDDLE)
    lines = said.read_text().splitlines()
    assert lines[:2] == ["mousemove 10 20", "mousedown 2"]
    assert lines[-2:] == ["mousemove 34 8", "mouseup 2"]
    assert len(lines) == 3 + from_the_script.DRAG_STEPS


@pytest.mark.parametrize(
    ("text", "inside"), [("{}=/exchange", "/exchange/a/b.png"), ("{}", "{}/a/b.png")]
)
def test_a_shared_file_has_a_name_on_each_side(tmp_path: Path, text: str, inside: str) -> None:
    shared = SharedFolder.parse(text.format(tmp_path))
    assert shared.name_inside(tmp_path / "a" / "b.png") == inside.format(tmp_path)


def answering(folder: Path, answers: dict[str, object]) -> threading.Thread:
    """Another side of the conversation, which answers one question."""

    def answer() -> None:
        question = folder / "ask.json"
        while not question.is_file():
            pass
        asked = json.loads(question.read_text(encoding="utf-8"))
        question.unlink()
        (folder / "answer.part").write_text(json.dumps({"number": asked["number"], **answers}))
        (folder / "answer.part").rename(folder / "answer.json")

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_questions_are_answered_through_files(tmp_path: Path) -> None:
    talk = conversation.Conversation(tmp_path)
    thread = answering(tmp_path, {"answer": [1, 2]})
    assert talk.ask("regions", window=0) == [1, 2]
    thread.join()
    thread = answering(tmp_path, {"problem": "KeyError: 'x'"})
    with pytest.raises(TourError, match="asked for scene: KeyError"):
        talk.ask("scene")
    thread.join()


def test_a_blender_that_is_gone_or_silent_ends_the_tour(tmp_path: Path) -> None:
    with pytest.raises(TourError, match="Blender ended"):
        conversation.Conversation(tmp_path, lambda: False).ask("regions")
    with pytest.raises(TourError, match="did not answer"):
        conversation.Conversation(tmp_path).ask("regions", timeout_s=0.05)
    with pytest.raises(TourError, match="in vain until a job runs"):
        conversation.Conversation(tmp_path).wait_until("a job runs", list, 0.02, 0.01)


def test_the_map_has_the_middle_of_each_button_and_header() -> None:
    mark = 'bpy.ops.wm.context_set_string(data_path="NEURALFIELDS_PT_training")'
    found = sidebar.map_of(
        {
            mark: [(92.0, 10.0), (92.0, 18.0)],
            "bpy.ops.neural_fields.train()": [(66.0, 40.0), (66.0, 50.0), (30.0, 40.0)],
        }
    )
    assert found.headers == {"NEURALFIELDS_PT_training": (92.0, 14.0)}
    assert found.place_of("neural_fields.train") == (66.0, 45.0)
    assert found.place_of("neural_fields.try_it") is None
    assert found.lowest == 45.0


def test_a_panel_is_unfolded_where_something_stands_below_its_header() -> None:
    seen = sidebar.Map({"a": (0.0, 50.0)}, {"upper": (0.0, 40.0), "lower": (0.0, 60.0)})
    assert sidebar.is_unfolded(seen, "upper")
    assert not sidebar.is_unfolded(seen, "lower")


def test_a_region_is_told_from_the_screens_upper_left_corner(tmp_path: Path) -> None:
    region = {
        "window": 0, "area": 3, "area_type": "VIEW_3D", "region": "UI",
        "x": 1000, "y": 200, "width": 300, "height": 500,
    }  # fmt: skip
    talk = SimpleNamespace(ask=lambda _: [region])
    found = sidebar.Sidebar(Screen(size=(1600, 1000)), talk).box()
    assert found.edges == (1000, 300, 1300, 800)
    with pytest.raises(TourError, match="no TOOLS region"):
        sidebar.Sidebar(Screen(), talk).box("TOOLS")


def test_the_result_is_a_field_and_a_mesh_that_is_seen() -> None:
    field = {"name": "Neural Field", "run": "//run", "vertices": 0, "visible": True}
    mesh = {"name": "Neural Field Mesh", "run": "", "vertices": 9000, "visible": True}
    assert stops.result_of({"jobs": [], "objects": [field, mesh]}) == field
    assert stops.result_of({"jobs": [], "objects": [field]}) is None
    assert stops.result_of({"jobs": [], "objects": [field, {**mesh, "visible": False}]}) is None
    failed = {"label": "Train", "state": "failed", "problem": "No luck."}
    with pytest.raises(TourError, match="Train: No luck"):
        stops.result_of({"jobs": [failed], "objects": [field, mesh]})


def test_a_job_that_has_a_problem_ends_the_wait_for_its_result() -> None:
    """Its result may have come and not been brought in."""
    odd = {"label": "Train", "state": "done", "problem": "Its result could not be brought in."}
    with pytest.raises(TourError, match="could not be brought in"):
        stops.result_of({"jobs": [odd], "objects": []})


def test_what_holds_the_window_up_is_a_fault_with_its_name(tmp_path: Path) -> None:
    times = {"draw": [[0.2, 0.01]], "execute": [[0.2, 0.15], [0.1, 0.1]]}
    talk = SimpleNamespace(ask=lambda _: times)
    tour = stops.Tour(Screen(), talk, SharedFolder(tmp_path, "/x"), tmp_path)
    tour.check_times("now", most_s=0.21)
    assert not tour.faults
    tour.check_times("now")
    assert "draw 200 ms (10 busy)" in tour.faults[0]
    assert "execute 200 ms (150 busy)" in tour.faults[0]
    times.clear()
    tour.check_times("then")
    assert len(tour.faults) == 2, "where nothing was timed, nothing is known"


def test_how_far_a_job_is_and_which_is_the_newest() -> None:
    jobs = [{"done": 3, "total": 4}, {"done": 0, "total": 0}]
    assert [training_stops.share(job) for job in jobs] == [0.75, 0.0]
    tour = SimpleNamespace(scene=lambda: {"jobs": jobs})
    assert training_stops.newest_job(tour) is jobs[-1]
    assert training_stops.number_of_fields({"objects": [{"run": "//a"}, {"run": ""}]}) == 1


def test_a_colored_spot_keeps_its_color_among_many_greys(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(30, 90, (300, 400, 1), dtype=np.uint8)
    picture = np.repeat(grey, 3, axis=2)
    picture[100:110, 200:210] = (230, 120, 20)
    pictures.save(Image.fromarray(picture), tmp_path / "spot.png")
    with Image.open(tmp_path / "spot.png") as opened:
        assert opened.size == (400, 300)
        kept = np.array(opened.convert("RGB").getpixel((205, 105)))
    assert np.abs(kept - (230, 120, 20)).max() <= 12


def test_a_picture_is_kept_small_however_busy_it_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    size = pictures.save(Image.fromarray(noise), tmp_path / "new" / "noise.png")
    assert size == (tmp_path / "new" / "noise.png").stat().st_size <= pictures.MOST_BYTES
    flat = Image.new("RGB", (300, 200), (40, 40, 40))
    flat.putpixel((5, 5), (255, 0, 0))
    pictures.save(flat, tmp_path / "flat.png")
    with Image.open(tmp_path / "flat.png") as opened:
        assert opened.size == (300, 200)
        assert opened.convert("RGB").getpixel((5, 5)) == (255, 0, 0)
    assert not pictures.is_blank(flat)
    assert pictures.is_blank(Image.new("RGB", (9, 9), (40, 40, 40)))


def test_a_part_of_a_screenshot_ends_at_its_edge(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "shot.png")
    assert pictures.cropped(tmp_path / "shot.png", (60.4, -5, 130, 40)).size == (40, 40)


def test_what_went_wrong_is_found_in_the_log() -> None:
    log = "Saved session\nTraceback (most recent call last):\n  x\nKeyError: 'x'\nInfo: all well\n"
    assert command.complaints_in(log) == ["Traceback (most recent call last):", "KeyError: 'x'"]


def test_the_pictures_of_the_documentation_are_small() -> None:
    for path in (command.ROOT / "docs" / "pictures").glob("*.png"):
        if not path.name.startswith("demo"):
            assert path.stat().st_size <= pictures.MOST_BYTES, path.name
