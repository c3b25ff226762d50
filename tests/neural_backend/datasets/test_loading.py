# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.loading import load_capture

KINDS = {
    "fox": ((43, 0, 7), True, False, (540, 960)),
    "bonsai": ((85, 0, 13), True, False, (800, 533)),
    "bonsai/sparse/0": ((85, 0, 13), True, False, (800, 533)),
    "lund_door": ((10, 0, 2), True, False, (648, 968)),
    "fern": ((17, 0, 3), True, False, (504, 378)),
    "ethiopian_head": ((57, 0, 9), False, False, (500, 500)),
    "lego_400": ((100, 10, 25), False, False, (400, 400)),
    "kaykit_knight_dyn_200": ((100, 10, 20), False, True, (200, 200)),
    "nrnerf_example": ((75, 0, 11), True, True, (512, 384)),
}


@pytest.mark.parametrize("name", KINDS)
def test_real_captures_are_read_for_what_they_are(shared_data: Path, name: str) -> None:
    capture = load_capture(shared_data / name)
    counts, unbounded, is_dynamic, size = KINDS[name]
    assert tuple(len(capture.split(one).views) for one in ("train", "val", "test")) == counts
    assert capture.unbounded == unbounded
    assert capture.is_dynamic == is_dynamic
    for view in capture.views:
        assert (view.intrinsics.width, view.intrinsics.height) == size
        assert view.image is not None
        assert view.image.is_file()
        rotation = view.camera_to_world[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) > 0
    assert len({view.name for view in capture.views}) == len(capture.views)


def test_frames_without_a_picture_and_a_camera_of_twice_the_size_are_no_trouble(
    shared_data: Path,
) -> None:
    original = load_capture(shared_data / "fox" / "transforms_original_67frames.json")
    prepared = load_capture(shared_data / "fox")
    assert len(original.warnings) == 2
    assert "17 views" in original.warnings[0]
    for one, other in zip(original.views, prepared.views, strict=True):
        assert one.image == other.image
        assert one.intrinsics == other.intrinsics
        np.testing.assert_allclose(one.camera_to_world, other.camera_to_world, atol=1e-12)
