# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures for other programs by the operator, with a real worker."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import preferences, session
from neural_fields.addon.output_settings import DIALECTS
from neural_fields.addon.worker.protocol import messages

from tests.addon.operators.real_runs import real_worker, sent, train
from tests.tiny_capture import write_tiny_capture
from tests.worker_python import run_with_backend

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]

READ = (
    "import json, sys; from pathlib import Path; "
    "from neural_backend.datasets.loading import load_capture; "
    "views = load_capture(Path(sys.argv[1]), hold_out=0).views; "
    "print(json.dumps({view.name: [view.camera_to_world.tolist(), "
    "[view.intrinsics.focal_x_px, view.intrinsics.center_x_px], view.image.is_file()] "
    "for view in views}))"
)


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("capture") / "Bälle", num_views=6)


def read(folder: Path) -> dict[str, Any]:
    """The views of a capture by the names of their pictures, as the backend reads them."""
    return json.loads(run_with_backend(READ, folder))


@pytest.mark.parametrize("dialect", [dialect for dialect, _, _ in DIALECTS])
def test_every_format_keeps_the_cameras_and_brings_the_pictures_along(
    bpy: ModuleType, capture: Path, tmp_path: Path, dialect: str
) -> None:
    bpy.context.scene.neural_fields.training.capture = str(capture)
    output = tmp_path / "für andere"
    bpy.ops.neural_fields.export_capture(dialect=dialect, output=str(output))
    assert session.jobs()[-1].note == f"6 views are in {output}"
    before = sorted(read(capture).items())
    after = sorted(read(output).items())
    assert len(after) == len(before) == 6
    for (_, (pose, lens, _)), (_, (new_pose, new_lens, has_picture)) in zip(
        before, after, strict=True
    ):
        assert has_picture
        np.testing.assert_allclose(new_pose, pose, atol=1e-5)
        np.testing.assert_allclose(new_lens, lens, atol=1e-3)


def test_what_is_not_named_is_the_capture_for_training_then_that_of_the_field(
    bpy: ModuleType, capture: Path, tmp_path: Path
) -> None:
    assert not bpy.ops.neural_fields.export_capture.poll()
    train(bpy, tmp_path)
    job_capture = tmp_path / "run" / "capture.json"
    bpy.ops.neural_fields.export_capture(output=str(tmp_path / "a"))
    assert Path(sent(messages.Convert).capture) == job_capture
    assert len(read(tmp_path / "a")) == 8
    bpy.context.scene.neural_fields.training.capture = str(capture)
    bpy.ops.neural_fields.export_capture(output=str(tmp_path / "b"))
    assert Path(sent(messages.Convert).capture) == capture
    bpy.ops.neural_fields.export_capture(capture=str(job_capture), output=str(tmp_path / "c"))
    assert Path(sent(messages.Convert).capture) == job_capture


def test_without_a_folder_a_new_one_is_taken_each_time(
    bpy: ModuleType, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "runs_folder", lambda: tmp_path)
    bpy.context.scene.neural_fields.training.capture = str(capture)
    outputs = set()
    for _ in range(2):
        bpy.ops.neural_fields.export_capture(dialect="llff")
        outputs.add(sent(messages.Convert).output)
    assert len(outputs) == 2
    assert all(list(Path(output).iterdir()) for output in outputs)


def test_a_folder_with_something_in_it_is_left_alone(
    bpy: ModuleType, capture: Path, tmp_path: Path
) -> None:
    bpy.context.scene.neural_fields.training.capture = str(capture)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RuntimeError, match="empty"):
        bpy.ops.neural_fields.export_capture(output=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
