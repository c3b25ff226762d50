# SPDX-License-Identifier: GPL-3.0-or-later
"""That settings of every method have limits, and that what these allow can be learned with."""

import math
from dataclasses import asdict, fields
from typing import Any, get_args, get_type_hints

import pytest
import torch

from neural_backend.methods.configuration import apply_settings, config_from_dict
from neural_backend.methods.image_fitting import ImageFittingConfig
from neural_backend.methods.limits import limits_of
from neural_backend.methods.registry import METHODS, MethodRecipe, build_method, module_of
from neural_backend.protocol.errors import JobError
from tests.ends_of_limits import PLACES, beyond, ends, losses, small_config

KINDS = {
    **{name: type(module_of(place).PRESETS["standard"]) for name, place in PLACES.items()},
    "fit_image": ImageFittingConfig,
}
CASES = ("cuda", "unbounded", "many_sided")
LIMITED = [(name, field) for name, kind in KINDS.items() for field in limits_of(kind)]
TOO_LARGE = {
    "occupancy_resolution", "samples_per_step", "samples_per_step_unbounded", "rays", "surface",
    "near", "uniform", "slopes", "fit_points", "resolutions", "resolutions_unbounded", "elements",
    "elastic_rays", "coarse_samples", "fine_samples", "width", "local_width",
    "encoder_width", "deformation_width", "latent_dim",
}  # fmt: skip
"""What costs seconds or gigabytes where it is more than `LARGE`."""
LARGE = 200


@pytest.mark.parametrize("name", KINDS)
def test_every_number_has_limits(name):
    hints, limits = get_type_hints(KINDS[name]), limits_of(KINDS[name])
    numbers = {
        field for field, kind in hints.items() if {int, float} & {kind, *get_args(kind)}
    }  # fmt: skip
    assert limits.keys() == numbers
    for field in fields(KINDS[name]):
        assert field.name in limits or hints[field.name] is bool or get_args(hints[field.name])


@pytest.mark.parametrize("name", KINDS)
def test_defaults_and_presets_keep_the_limits(name):
    kind = KINDS[name]
    presets = module_of(PLACES[name]).PRESETS.values() if name in PLACES else ()
    for config in (kind(), *presets):
        assert config_from_dict(kind, asdict(config)) == config


@pytest.mark.parametrize(("name", "field"), LIMITED)
def test_what_is_beyond_an_end_is_refused_by_name(name, field):
    config, limits = KINDS[name](), limits_of(KINDS[name])[field]
    is_list = isinstance(getattr(config, field), tuple)
    for number in beyond(limits):
        for refuse in (
            lambda value: apply_settings(config, [f"{field}={value}"]),
            lambda value: config_from_dict(type(config), {field: [value] if is_list else value}),
        ):
            with pytest.raises(JobError) as refused:
                refuse(number)
            expected = f"{field} must be {limits}, got {number}. Its usual value is "
            assert str(refused.value).startswith(expected)


@pytest.mark.parametrize("name", KINDS)
def test_a_setting_of_a_case_has_the_limits_of_the_one_whose_place_it_takes(name):
    limits = limits_of(KINDS[name])
    for field in limits:
        plain = next((field.removesuffix(f"_{case}") for case in CASES if case in field), field)
        assert limits[field] == limits[plain]


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("instant_ngp", ["coarsest=600"], "coarsest must not be more than finest, got 600 and 512"),
        ("instant_ngp", ["surface_from=0.8"], "surface_from must not be more than surface_until"),
        ("instant_ngp", ["levels=3", "features_per_level=2"], "a multiple of 4, got 3 and 2"),
        ("deformable_ngp", ["finest=8"], "coarsest must not be more than finest, got 16 and 8"),
        ("deformable_ngp", ["slices=256", "occupancy_resolution=256"], "slices times the cube"),
        ("voxel_grid", ["surface_until=0.1"], "surface_from must not be more than surface_until"),
        ("voxel_grid", ["resolutions="], "resolutions must have at least one number, got none"),
        ("voxel_grid", ["resolutions_unbounded=900"], "must not be more than 1280, got 1350"),
        ("neural_sdf", ["coarsest=300"], "coarsest must not be more than finest, got 300 and 256"),
        ("deep_sdf", ["near=0", "uniform=0"], "near and uniform must not both be 0"),
        ("occupancy_network", ["uniform=0"], "uniform and near must not both be 0"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(name, settings, complaint):
    with pytest.raises(JobError, match=complaint):
        apply_settings(KINDS[name](), settings)


def test_a_stored_configuration_beyond_the_limits_is_refused():
    config = {"width": 17}
    bounds = ((-1.0,) * 3, (1.0,) * 3)
    recipe = MethodRecipe(
        method="instant_ngp", config=config, bounds=bounds, unbounded=False, num_views=1
    )
    with pytest.raises(JobError, match="width must be a multiple of 4 from 4 to 512, got 17"):
        build_method(recipe, torch.device("cpu"))


@pytest.fixture
def one_thread():
    """Steps are so small that threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("name", "field"), [pair for pair in LIMITED if pair[0] in PLACES])
def test_a_method_learns_at_both_ends_of_each_setting(name, field):
    limits = limits_of(KINDS[name])[field]
    for end in ends(limits):
        if field in TOO_LARGE and end > LARGE:
            continue
        config: Any = small_config(name, field, end)
        for unbounded in (False, True)[: 2 if name in METHODS else 1]:
            assert all(map(math.isfinite, losses(name, config, unbounded)))
