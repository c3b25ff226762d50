# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on of this checkout as the package `neural_fields`, and one Blender for all tests."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "panels"))

import headless_blender

headless_blender.load_extension()


@pytest.fixture(scope="session")
def _blender() -> ModuleType:
    bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")
    extension = headless_blender.load_extension()
    extension.register()
    yield bpy
    extension.unregister()


@pytest.fixture(autouse=True)
def _forget_python() -> None:
    """Which Python another test chose for the worker is not known to the next."""
    session = sys.modules.get(f"{headless_blender.PACKAGE}.addon.session")
    if session is not None:
        session._session.python = None


@pytest.fixture
def bpy(_blender: ModuleType) -> ModuleType:
    """Blender with an empty file; the add-on is registered. One process holds one Blender."""
    _blender.ops.wm.read_factory_settings(use_empty=True)
    scene = _blender.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 48, 32
    return _blender


@pytest.fixture
def studio(bpy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker that learns nothing and answers every job."""
    from neural_fields.addon import session

    fake = Path(__file__).with_name("fake_studio.py")
    monkeypatch.setattr(session, "find_python", lambda _preference: Path(sys.executable))
    monkeypatch.setattr(
        session, "worker_command", lambda _python: [sys.executable, "-u", str(fake)]
    )
    session.stop()
    session._session.jobs.clear()
    yield
    session.stop()
