# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every method that learns shapes, so that a new one needs no tests for it."""

import dataclasses
import importlib

import pytest
import torch

import neural_backend as nf
from neural_backend.jobs import trained_method
from neural_backend.jobs.fit_shape import run as fit
from neural_backend.methods.configuration import config_from_dict
from neural_backend.methods.shape_registry import (
    SHAPE_METHODS,
    ShapeRecipe,
    build_shape_method,
    resolve_shape_method,
    shape_config,
)
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import FitShape, Progress
from tests.simple_shapes import ball, measured, torus

SMALL = {
    "neural_sdf": ("surface=64", "near=64", "uniform=32", "slopes=16", "log2_entries=12"),
    "deep_sdf": ("width=16", "latent_dim=8", "near=32", "uniform=16", "fit_steps=5"),
    "occupancy_network": ("width=16", "latent_dim=8", "encoder_width=8", "uniform=32", "near=32"),
    "structured_implicit": ("elements=4", "local_dim=3", "uniform=64", "near=64"),
}
"""Settings that make the draft preset small enough for a test."""


def family(name):
    shapes = [measured(ball(), "ball", 400), measured(torus(), "ring", 400)]
    return shapes if name in ("deep_sdf", "occupancy_network") else shapes[1:]


def job_for(name, folder, **changes) -> FitShape:
    values = {"method": name, "preset": "draft", "device": "cpu", "settings": SMALL[name]}
    return FitShape(run=str(folder), meshes=(), **{**values, **changes})


@pytest.mark.parametrize("name", SHAPE_METHODS)
def test_a_method_has_three_presets_and_one_class(name):
    module_name, _, class_name = SHAPE_METHODS[name].partition(":")
    module = importlib.import_module(module_name, "neural_backend.methods")
    assert set(module.PRESETS) == {"draft", "standard", "final"}
    assert getattr(module, class_name).name == name
    for config in module.PRESETS.values():
        assert type(config).__dataclass_params__.frozen
        assert config.steps > 0
        assert config_from_dict(type(config), dataclasses.asdict(config)) == config


@pytest.mark.parametrize("name", SHAPE_METHODS)
def test_an_interrupted_training_equals_an_uninterrupted_one(name, tmp_path):
    job = job_for(name, tmp_path / "whole", steps=9, seed=11)
    assert list(fit(job, family(name)))[-1].steps == 9
    cut = dataclasses.replace(job, run=str(tmp_path / "cut"), checkpoint_seconds=1e-9)
    events = fit(cut, family(name))
    for event in events:
        if isinstance(event, Progress) and event.stage == "training" and event.done >= 4:
            break
    events.close()
    resumed = FitShape(run=str(tmp_path / "cut"), meshes=(), device="cpu", resume=True)
    assert list(fit(resumed, family(name)))[-1].steps == 9
    states = []
    for folder in ("whole", "cut"):
        (file,) = (tmp_path / folder / "checkpoints").glob("step_00000009*/state.safetensors")
        states.append(file.read_bytes())
    assert states[0] == states[1]


@pytest.mark.parametrize("name", SHAPE_METHODS)
def test_loaded_shapes_are_the_learned_ones(name, tmp_path):
    list(fit(job_for(name, tmp_path / "run", steps=3), family(name)))
    first = nf.load_shape_run(tmp_path / "run", device="cpu")
    trained_method.forget_methods()
    second = nf.load_shape_run(tmp_path / "run", device="cpu")
    assert second.method is not first.method
    points = torch.rand(64, 3) * 2 - 1
    for shape in first.shapes:
        surfaces = [one.surface(one.shape(shape)) for one in (first, second)]
        values = [surface.signed(points) for surface in surfaces]
        torch.testing.assert_close(*values)
        assert values[0].isfinite().all()


@pytest.mark.parametrize("name", SHAPE_METHODS)
def test_parameters_are_counted_as_shared_or_a_shapes_own(name):
    config = shape_config(name, "draft", SMALL[name])
    counts = []
    for number in (1, 2):
        recipe = ShapeRecipe(
            method=name, config=dataclasses.asdict(config), bounds=((-1.0,) * 3, (1.0,) * 3),
            names=("a", "b")[:number], centers=((0.0,) * 3,) * number, scales=(1.0,) * number,
            mesh_sizes=((0, 0),) * number,
        )  # fmt: skip
        method = build_shape_method(recipe, torch.device("cpu"))
        counts.append(sum(value.numel() for value in method.network.parameters()))
        if method.is_family and name == "deep_sdf":
            assert method.numbers_shared + number * method.numbers_per_shape == counts[-1]
        elif method.is_family:
            assert method.numbers_shared == counts[-1]
        else:
            assert (method.numbers_shared, method.numbers_per_shape) == (0, counts[-1])


def test_auto_takes_one_shape_and_families_apart():
    assert resolve_shape_method("auto", 1) == "neural_sdf"
    assert resolve_shape_method("auto", 2) == "deep_sdf"
    assert resolve_shape_method("deep_sdf", 1) == "deep_sdf"


@pytest.mark.parametrize(
    ("method", "number", "message"),
    [("magic", 1, "no method 'magic'"), ("nerf", 1, "from pictures"), ("neural_sdf", 3, "not 3")],
)
def test_impossible_choices_are_explained(method, number, message):
    with pytest.raises(JobError, match=message):
        resolve_shape_method(method, number)


def test_a_setting_that_cannot_be_built_is_explained(tmp_path):
    job = job_for("deep_sdf", tmp_path / "run", settings=("depth=3",))
    with pytest.raises(JobError, match="depth must be a multiple of 2 from 2 to 32, got 3"):
        list(fit(job, family("deep_sdf")))
