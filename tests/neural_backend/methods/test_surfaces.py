# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every method that can learn surfaces rather than fog."""

from pathlib import Path

import pytest
import torch

import neural_backend as nf
from neural_backend.datasets.ray_batches import camera_rays
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.methods.base import Method
from neural_backend.methods.registry import METHODS, method_config, module_of
from neural_backend.protocol.errors import JobError
from scripts.make_test_data import make_glossy_scene

ABLE = [name for name, place in METHODS.items() if hasattr(module_of(place), "SURFACES")]
SMALL = {
    "voxel_grid": ("resolutions=20,40", "rays=2048", "update_rays=256", "rays_per_voxel=0"),
    "instant_ngp": ("levels=4", "log2_entries=12", "finest=64", "samples_per_step=4096"),
    "deformable_ngp": ("levels=4", "log2_entries=12", "finest=64", "samples_per_step=4096"),
}
STEPS = {"voxel_grid": 60, "instant_ngp": 300, "deformable_ngp": 300}


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("glossy")
    make_glossy_scene(folder, size=40, num_views=24)
    return folder


def spread_along_rays(method: Method, capture: Path) -> float:
    """The mean standard deviation of the places that the light of an opaque ray comes from."""
    view = nf.load_capture(capture).split("test").views[0]
    rays = camera_rays(view.intrinsics, view.camera_to_world)
    distance = float((method.bounds.mean(dim=0) - rays.origins[0]).norm())
    reach = float((method.bounds[1] - method.bounds[0]).norm()) / 2
    t = distance + reach * torch.linspace(-1, 1, 400)
    points = rays.origins[:, None] + t[:, None] * rays.directions[:, None]
    density = method.density(points.reshape(-1, 3)).view(points.shape[:-1])
    depth = density * (t[1] - t[0])
    weights = torch.exp(depth - depth.cumsum(dim=1)) * -torch.expm1(-depth)
    seen = weights.sum(dim=1)
    mean = (weights * t).sum(dim=1, keepdim=True) / seen[:, None]
    deviation = ((weights * (t - mean).square()).sum(dim=1) / seen).sqrt()
    assert (seen > 0.9).sum() > 100
    return float(deviation[seen > 0.9].mean()) / reach


@pytest.mark.parametrize("name", ABLE)
def test_surfaces_have_the_light_of_a_ray_come_from_nearly_one_place(name, capture, tmp_path):
    spreads = []
    for surfaces in (False, True):
        run = tmp_path / str(surfaces)
        nf.train(
            capture, run, method=name, preset="draft", steps=STEPS[name], settings=SMALL[name],
            surfaces=surfaces,
        )  # fmt: skip
        record = RunFolder.open(run).read_record()
        assert (record.surfaces, record.config["surface"] > 0) == (surfaces, surfaces)
        spreads.append(spread_along_rays(nf.load_run(run), capture))
    assert spreads[1] < 0.8 * spreads[0]


def test_what_was_asked_for_by_name_wins_over_what_surfaces_bring() -> None:
    plain, asked = method_config("voxel_grid", "draft"), ("surface=0.5",)
    config = method_config("voxel_grid", "draft", asked, surfaces=True)
    assert (plain.surface, config.surface) == (0.0, 0.5)
    assert config.distortion > plain.distortion


def test_methods_that_cannot_say_which_can() -> None:
    with pytest.raises(JobError, match="nerf cannot learn surfaces") as caught:
        method_config("nerf", "draft", surfaces=True)
    assert "voxel_grid" in caught.value.remedy
