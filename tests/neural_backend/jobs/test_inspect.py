# SPDX-License-Identifier: GPL-3.0-or-later

import trimesh

import neural_backend as nf
from neural_backend.jobs import run
from neural_backend.methods import registry
from neural_backend.protocol.messages import Inspect, Inspected, JobFailed
from tests import tiny_method
from tests.tiny_capture import write_tiny_capture


def described(path) -> str:
    (event,) = run(Inspect(path=str(path)))
    assert isinstance(event, Inspected)
    return "\n".join(event.lines)


def test_a_capture_is_described(tmp_path):
    text = described(write_tiny_capture(tmp_path / "capture"))
    assert "views: 9 (2 test, 7 train)" in text
    assert "16 × 16 px, focal length 19.2 px, pinhole" in text
    assert "bounds: (" in text
    assert "surroundings: transparent" in text


def test_what_is_missing_in_a_capture_is_among_the_lines(tmp_path):
    capture = write_tiny_capture(tmp_path / "capture")
    (capture / "images" / "view_04.png").unlink()
    text = described(capture)
    assert "views: 8" in text
    assert "warning: " in text
    assert "view_04" in text


def test_a_run_is_described(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    tiny_method.register()
    capture = write_tiny_capture(tmp_path / "capture")
    nf.train(capture, tmp_path / "run", method="tiny", preset="draft")
    text = described(tmp_path / "run")
    assert "state: trained" in text
    assert "method: tiny, preset draft" in text
    assert "trained: 20 steps" in text
    assert "dB on held-out views" in text
    assert "checkpoint: step 20, 9 numbers" in text
    assert f"capture: {capture}" in text


def test_a_folder_of_neither_kind_is_said_to_be_none(tmp_path):
    (event,) = run(Inspect(path=str(tmp_path)))
    assert isinstance(event, JobFailed)
    assert str(tmp_path) in event.message


def test_a_damaged_run_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    (event,) = run(Inspect(path=str(tmp_path)))
    assert isinstance(event, JobFailed)
    assert "run.json is damaged" in event.message


def test_a_mesh_is_described_with_what_is_wrong_with_it(tmp_path):
    box = trimesh.creation.box((1, 2, 3))
    box.export(tmp_path / "box.stl")
    text = described(tmp_path / "box.stl")
    assert "size: 8 vertices, 12 triangles" in text
    assert "area: 22" in text
    assert "watertight: yes" in text
    assert "inside: clear for 100.0% of the surface" in text
    open_box = trimesh.Trimesh(box.vertices, box.faces[:4, ::-1], process=False)
    open_box.export(tmp_path / "sheet.ply")
    text = described(tmp_path / "sheet.ply")
    assert "watertight: no, " in text
    assert "inside: none" in text


def test_a_mesh_without_a_surface_is_refused(tmp_path):
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    (event,) = run(Inspect(path=str(tmp_path / "points.obj")))
    assert isinstance(event, JobFailed)
    assert "no faces" in event.message
