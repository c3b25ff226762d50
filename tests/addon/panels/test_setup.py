# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first-run box, the preferences and the worker's panel show in each state."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from neural_fields.addon import environment_drawing, environment_state, preferences, session
from neural_fields.addon.environment_state import EnvironmentState
from neural_fields.addon.panels import setup, worker
from neural_fields.addon.worker.checks import Probe
from neural_fields.addon.worker.environment import Found, PythonCheck
from neural_fields.addon.worker.installer import InstallProgress
from neural_fields.addon.worker.known_pythons import Candidate
from neural_fields.addon.worker.machine import Machine
from neural_fields.addon.worker.protocol import messages

from tests.addon.panels.recording_layout import called, draw, operators, properties, texts

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

PYTHON = Path("/home/künstler/.venv/bin/python")
FOUND = Found(PythonCheck(PYTHON, "3.11.7"), "the home folder")
REFUSED = Found(
    None,
    "",
    tuple(
        (Candidate(Path(f"/usr/bin/python{number}"), "PATH"), PythonCheck(PYTHON, "3", "no torch"))
        for number in range(9)
    ),
)
WAYS = [
    "neural_fields.install_environment",
    "neural_fields.find_environment",
    "neural_fields.copy_install_command",
    "extensions.userpref_allow_online",
]
READY = messages.WorkerReady(
    backend_version="0.1.0", python="3.11", torch="2.13.0", devices=("cpu", "cuda"), methods=()
)
PROGRESS = InstallProgress(
    3, 5, "Installing torch (CPU)", "torch-2.13.0", 45.0, 192.0, share=0.3, seconds=20.0
)


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EnvironmentState]:
    def show(**values: object) -> EnvironmentState:
        state = EnvironmentState(**values)
        monkeypatch.setattr(environment_state, "_state", state)
        return state

    return show


@pytest.mark.parametrize(
    ("values", "words", "buttons"),
    [
        ({"phase": "unknown"}, "", []),
        ({"phase": "searching", "is_quiet": True}, "", []),
        (
            {"phase": "searching", "search": SimpleNamespace(looking_at="/opt/python")},
            "/opt/python",
            [],
        ),
        ({"phase": "missing", "found": REFUSED}, "9 Looked At", WAYS),
        (
            {"phase": "installing", "installation": SimpleNamespace(progress=PROGRESS)},
            "Step 3 of 5: Installing torch (CPU)\n30%",
            ["neural_fields.cancel_install"],
        ),
        ({"phase": "cancelled"}, "What was downloaded is kept", WAYS),
        (
            {"phase": "failed", "problem": "The disk is full.", "remedy": "Free some space."},
            "The disk is full.",
            [*WAYS, "neural_fields.open_log"],
        ),
        ({"phase": "found", "found": FOUND}, "", []),
    ],
    ids=lambda value: value.get("phase", "") if isinstance(value, dict) else "",
)
def test_the_first_run_box_shows_what_can_be_done_in_each_state(
    bpy: ModuleType, show, values: dict, words: str, buttons: list[str]
) -> None:
    show(**values)
    drawn = draw(setup.NEURALFIELDS_PT_setup)
    assert words in texts(drawn)
    if words:
        assert operators(drawn) == [*buttons, "neural_fields.show_preferences"]
    else:
        assert drawn.calls == []


def test_a_computer_that_is_online_or_has_wheels_is_not_asked_for_access(
    bpy: ModuleType, show, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(phase="missing", found=REFUSED)
    assert "Install needs online access" in texts(draw(setup.NEURALFIELDS_PT_setup))
    monkeypatch.setattr(preferences, "get", lambda: SimpleNamespace(wheels_folder="/wheels"))
    drawn = draw(setup.NEURALFIELDS_PT_setup)
    assert operators(drawn) == [*WAYS[:3], "neural_fields.show_preferences"]
    assert "online access" not in texts(drawn)


def test_a_running_installation_shows_its_bar_and_its_bytes(bpy: ModuleType, show) -> None:
    show(phase="installing", installation=SimpleNamespace(progress=PROGRESS))
    drawn = draw(setup.NEURALFIELDS_PT_setup)
    (bar,) = called(drawn, "progress")
    assert bar.arguments["factor"] == pytest.approx(0.3)
    assert "torch-2.13.0 · 45 of 192 MB" in texts(drawn)


def test_what_was_stopped_or_failed_is_said_to_continue(bpy: ModuleType, show) -> None:
    for phase in ("cancelled", "failed"):
        show(phase=phase, problem="No network.", remedy="Check it.")
        assert "Continue" in texts(draw(setup.NEURALFIELDS_PT_setup)).splitlines()


def test_the_why_of_each_python_can_be_unfolded_and_does_not_flood(bpy: ModuleType, show) -> None:
    show(phase="missing", found=REFUSED)
    text = texts(draw(setup.NEURALFIELDS_PT_setup))
    assert text.count("no torch") == environment_drawing.REFUSED_SHOWN
    assert "and 3 more" in text


def test_the_preferences_show_the_same_with_the_checks_and_the_settings(
    bpy: ModuleType, show
) -> None:
    show(
        phase="found",
        found=FOUND,
        probe=Probe(
            python="3.11.7",
            torch="2.13.0",
            memory_gb=6.0,
            backend="0.1.0",
            problems={"igl": "ModuleNotFoundError: no igl"},
        ),
        machine=Machine("linux", "x86_64", (535, 1), "RTX 4090", (8, 9)),
        free_disk_gb=0.2,
    )

    class Page:
        draw = preferences.NEURALFIELDS_AP_preferences.draw
        bl_rna = preferences.NEURALFIELDS_AP_preferences.bl_rna

    from tests.addon.panels.recording_layout import RecordingLayout

    page = Page()
    page.layout = RecordingLayout()
    page.draw(bpy.context)
    text = texts(page.layout)
    assert "Ready: Python 3.11.7" in text
    flat = " ".join(text.split())
    assert "igl is not installed" in flat
    assert "is not used" in flat
    assert operators(page.layout) == [
        "neural_fields.install_environment",  # torch: a package is missing
        "neural_fields.install_environment",  # device: a build without CUDA
        "neural_fields.show_preferences",  # disk
        "neural_fields.check_environment",
    ]
    assert properties(page.layout) == [
        "worker_python", "device", "runs_folder",
        "torch_build", "environment_folder", "wheels_folder",
    ]  # fmt: skip
    (alerted,) = (
        call for call in called(page.layout, "row") if call.result.attributes.get("alert")
    )
    assert alerted is not None


def test_while_it_is_checked_there_is_no_second_check_to_press(bpy: ModuleType, show) -> None:
    show(phase="found", found=FOUND, examination=SimpleNamespace())
    drawn = draw(worker.NEURALFIELDS_PT_worker_checks)
    assert "Checking…" in texts(drawn)
    assert "neural_fields.check_environment" not in operators(drawn)


@pytest.mark.parametrize(
    ("ready", "starting", "running", "phase", "words"),
    [
        (None, False, [], "found", "Not running; the first job starts it"),
        (None, False, [], "missing", "Needs to be set up"),
        (None, True, [], "found", "Starting"),
        (READY, False, [], "found", "Ready"),
        (READY, False, [SimpleNamespace(label="Train")], "found", "At work: Train"),
    ],
)
def test_the_worker_says_what_it_is_doing(
    bpy: ModuleType, show, monkeypatch, ready, starting, running, phase, words
) -> None:
    show(phase=phase)
    monkeypatch.setattr(session, "worker", lambda: ready)
    monkeypatch.setattr(session, "is_starting", lambda: starting)
    monkeypatch.setattr(session, "running", lambda: running)
    drawn = draw(worker.NEURALFIELDS_PT_worker)
    assert texts(drawn).splitlines()[0] == words
    assert ("torch 2.13.0 on CPU and CUDA" in texts(drawn)) == (ready is not None)
    expected = ["stop_worker", "open_log", "release_memory"]
    assert operators(drawn) == [f"neural_fields.{name}" for name in expected]


def test_texts_are_wrapped_to_the_width_of_the_sidebar(bpy: ModuleType) -> None:
    system = SimpleNamespace(ui_scale=1.0)
    context = SimpleNamespace(
        region=SimpleNamespace(width=300), preferences=SimpleNamespace(system=system)
    )
    text = "Fields are trained in a Python of their own, beside Blender. " * 3
    narrow = environment_drawing.wrap(context, text)
    assert " ".join(narrow) == text.strip()
    assert max(map(len, narrow)) <= 40
    context.region.width = 900
    assert len(environment_drawing.wrap(context, text)) < len(narrow)
    system.ui_scale = 2.0
    assert max(map(len, environment_drawing.wrap(context, "/a" * 100))) <= 60


def test_the_panels_stand_where_the_order_of_work_has_them(bpy: ModuleType) -> None:
    for panel, order in ((setup.NEURALFIELDS_PT_setup, 0), (worker.NEURALFIELDS_PT_worker, 5)):
        assert panel.bl_order == order
        assert panel.bl_category == "Neural Fields"
        assert (panel.bl_space_type, panel.bl_region_type) == ("VIEW_3D", "UI")
