# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from neural_backend.geometry.colors import srgb_to_linear
from neural_backend.jobs import start
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import ExtractVolume, Progress, VolumeReady
from tests.analytic_run import make_run


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return make_run(tmp_path, softness=0.05).path


def test_the_grid_has_the_fields_density_and_what_it_emits_in_place(run_path: Path) -> None:
    events = list(start(ExtractVolume(run=str(run_path), resolution=32, frames=(7,))))
    ready = events[-1]
    assert isinstance(ready, VolumeReady)
    assert ready.frames == (7,)
    assert ready.files == ("volume_0007.npz",)
    assert {event.stage for event in events if isinstance(event, Progress)} == {
        "loading the field",
        "sampling the field",
    }
    with np.load(Path(ready.output) / ready.files[0], allow_pickle=False) as values:
        corners, density, emission = values["corners"], values["density"], values["emission"]
        lower, voxel = values["lower"], float(values["voxel"])
    assert voxel == pytest.approx(2 / 32)
    index = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), axis=-1)
    points = lower + (corners[:, None, None, None] + index + 0.5) * voxel
    distance = np.linalg.norm(points, axis=-1) - 0.7
    expected = 400 / (1 + np.exp(distance / 0.05))
    filled = density > 0
    most = -np.log(1e-4) / voxel
    np.testing.assert_allclose(density[filled], np.minimum(expected, most)[filled], rtol=1e-3)
    seen = srgb_to_linear(points / 2 + 0.5)
    np.testing.assert_allclose(
        emission[filled], seen[filled] * density[filled][..., None], rtol=1e-3
    )
    assert ready.share_filled == pytest.approx(np.count_nonzero(filled) / 32**3)


def test_a_crop_box_bounds_the_grid(run_path: Path, tmp_path: Path) -> None:
    job = ExtractVolume(
        run=str(run_path),
        resolution=16,
        crop_min=(0.0, -0.5, -0.5),
        crop_max=(1.0, 0.5, 0.5),
        output=str(tmp_path / "volume"),
    )
    ready = list(start(job))[-1]
    with np.load(tmp_path / "volume" / ready.files[0]) as values:
        np.testing.assert_allclose(values["lower"], (0, -0.5, -0.5))
        assert values["shape"].tolist() == [16, 16, 16]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 4}, "resolution of 4"),
        ({"smallest_opacity": 0.5, "largest_opacity": 0.4}, "cannot go from 0.5 to 0.4"),
        ({"frames": ()}, "no frames"),
        ({"crop_min": (0.0,)}, "three numbers"),
        ({"crop_min": (0.9, 0.9, 0.9), "crop_max": (1.0, 1.0, 1.0)}, "stops no light"),
        ({"frames": (1, 2), "times": (0.0,)}, "do not belong together"),
    ],
)
def test_what_cannot_be_is_refused(run_path: Path, options: dict, message: str) -> None:
    with pytest.raises(JobError, match=message):
        list(start(ExtractVolume(run=str(run_path), **{"resolution": 16, **options})))
