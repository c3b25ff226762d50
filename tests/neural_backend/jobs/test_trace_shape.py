# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neural_backend as nf
from neural_backend.jobs.view_files import read_exr
from neural_backend.protocol.errors import JobError
from tests.tiny_capture import write_tiny_capture


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    path = tmp_path / "ball.json"
    path.write_text(json.dumps({"type": "sphere", "radius": 0.5}))
    return path


def test_all_of_a_shape_is_seen_without_cameras(ball: Path, tmp_path: Path) -> None:
    ready = nf.trace_shape(ball, tmp_path / "out", width=60, depth=True, normals=True)
    picture = np.asarray(Image.open(ready.files[0]))
    assert picture.shape == (60, 60, 4)
    seen = picture[..., 3] > 0
    assert 0.15 < seen.mean() < 0.6
    assert not seen[[0, -1]].any()
    assert not seen[:, [0, -1]].any()
    np.testing.assert_array_equal(seen, seen[::-1])
    depth = read_exr(tmp_path / "out" / "depth_0001.exr")["Y"]
    assert (depth[~seen] == np.float32(1e10)).all()
    # The nearest point lies in the middle; the rim, seen at a slant, is nearer than the center.
    assert depth[30, 30] == pytest.approx(depth[seen].min(), abs=0.01)
    assert 0.3 < np.ptp(depth[seen]) < 0.5
    normals = read_exr(tmp_path / "out" / "normal_0001.exr")["RGB"]
    np.testing.assert_allclose(np.linalg.norm(normals[seen], axis=-1), 1, atol=1e-4)
    assert (normals[~seen] == 0).all()


def test_views_are_those_of_the_cameras(ball: Path, tmp_path: Path) -> None:
    capture = write_tiny_capture(tmp_path / "capture")
    ready = nf.trace_shape(ball, tmp_path / "out", cameras=capture / "transforms.json")
    assert len(ready.files) == len(ready.frames) == 9
    for file in ready.files:
        picture = np.asarray(Image.open(file))
        assert picture.shape == (16, 16, 4)
        assert (picture[..., 3] > 0).any()


def test_impossible_widths_and_endless_shapes_are_explained(ball: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="pixels wide"):
        nf.trace_shape(ball, tmp_path / "out", width=0)
    ball.write_text('{"type": "plane"}')
    with pytest.raises(JobError, match="no end"):
        nf.trace_shape(ball, tmp_path / "out")
