# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Blender that are learned as functions, by a real worker."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import preferences, session
from neural_fields.addon.scene.picture_files import write_picture
from PIL import Image

from tests.worker_python import WORKER_PYTHON

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
    monkeypatch.setattr(preferences, "runs_folder", lambda: tmp_path)
    session.stop()
    yield
    session.stop()


def ramp(width: int, height: int) -> np.ndarray:
    """RGBA in Blender's order, from the lowest row up: red grows to the right, green upwards."""
    red, green = np.meshgrid(np.linspace(0.1, 0.9, width), np.linspace(0.2, 0.8, height))
    return np.stack([red, green, 0.5 + 0 * red, 1 + 0 * red], axis=-1).astype(np.float32)


def image_of(bpy: ModuleType, pixels: np.ndarray, **options: Any) -> Any:
    image = bpy.data.images.new("Verlauf", pixels.shape[1], pixels.shape[0], alpha=True, **options)
    image.pixels.foreach_set(pixels.ravel())
    return image


def test_an_image_is_learned_and_drawn_at_another_size(bpy: ModuleType) -> None:
    image_of(bpy, ramp(24, 16))
    bpy.ops.neural_fields.fit_image(
        image="Verlauf", width=48, encoding="positional", scale=1.0, steps=150, device="cpu"
    )
    learned = bpy.data.images["Verlauf Learned"]
    assert tuple(learned.size) == (48, 32)
    assert learned["neural_field_psnr"] > 25
    found = np.empty(48 * 32 * 4, np.float32)
    learned.pixels.foreach_get(found)
    assert np.abs(found.reshape(32, 48, 4) - ramp(48, 32)).mean() < 0.05
    assert "Verlauf" in bpy.data.images
    bpy.ops.neural_fields.fit_image(image="Verlauf", width=12, steps=5, device="cpu")
    assert {tuple(image.size) for image in bpy.data.images} == {(24, 16), (48, 32), (12, 8)}


def test_images_that_cannot_be_learned_are_explained(bpy: ModuleType) -> None:
    image_of(bpy, ramp(4, 4))
    with pytest.raises(RuntimeError, match=r"no image 'Bild'\. Choose another"):
        bpy.ops.neural_fields.fit_image(image="Bild")
    with pytest.raises(RuntimeError, match="No image is chosen"):
        bpy.ops.neural_fields.fit_image()
    gone = bpy.data.images.new("Weg", 4, 4)
    gone.source, gone.filepath = "FILE", "/nowhere/gone.png"
    with pytest.raises(RuntimeError, match="Weg has no pixels"):
        bpy.ops.neural_fields.fit_image(image="Weg")


def test_a_picture_is_written_as_it_is_seen(bpy: ModuleType, tmp_path: Path) -> None:
    """A byte image holds what is seen, one in floating point holds linear light."""
    seen = ramp(5, 3)
    write_picture(image_of(bpy, seen), tmp_path / "byte.png")
    linear = seen.copy()
    linear[..., :3] = ((seen[..., :3] + 0.055) / 1.055) ** 2.4
    write_picture(image_of(bpy, linear, float_buffer=True), tmp_path / "float.png")
    for name in ("byte.png", "float.png"):
        with Image.open(tmp_path / name) as opened:
            written = np.asarray(opened.convert("RGBA"), dtype=np.float64) / 255
        np.testing.assert_allclose(written[::-1], seen, atol=1.01 / 255, err_msg=name)
