# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every method, so that a new one needs no tests of its own for it."""

import dataclasses
import importlib
from pathlib import Path

import pytest
import torch

import neural_backend as nf
from neural_backend.jobs import run
from neural_backend.methods.configuration import apply_settings, config_from_dict
from neural_backend.methods.registry import METHODS, MethodRecipe, build_method, method_config
from neural_backend.protocol.errors import JobError
from neural_backend.protocol.messages import Progress, Train, Trained
from tests.tiny_capture import write_tiny_capture

SMALL = {
    "voxel_grid": (),
    "instant_ngp": (),
    "deformable_ngp": (),
    "nerf": ("width=16", "depth=4", "rays=64", "coarse_samples=8", "fine_samples=8"),
    "dnerf": ("width=16", "depth=4", "rays=64", "coarse_samples=8", "fine_samples=8"),
    "nerfies": ("width=16", "depth=4", "rays=64", "coarse_samples=8", "fine_samples=8"),
}
"""Settings that make the draft preset small enough for a test."""

PRESENT = [
    name
    for name, target in METHODS.items()
    if (Path(nf.__file__).parent / "methods" / f"{target.partition(':')[0][1:]}.py").exists()
]


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("method") / "capture", size=24)


@pytest.mark.parametrize("name", PRESENT)
def test_a_method_has_three_presets_and_one_class(name):
    module_name, _, class_name = METHODS[name].partition(":")
    module = importlib.import_module(module_name, "neural_backend.methods")
    assert set(module.PRESETS) == {"draft", "standard", "final"}
    assert getattr(module, class_name).name == name
    for config in module.PRESETS.values():
        assert dataclasses.is_dataclass(config)
        assert type(config).__dataclass_params__.frozen
        assert config.steps > 0
        assert config_from_dict(type(config), dataclasses.asdict(config)) == config


@pytest.mark.parametrize("name", PRESENT)
def test_an_interrupted_training_equals_an_uninterrupted_one(name, capture, tmp_path):
    """With the real methods, on the CPU: the same bytes in the checkpoint."""
    job = Train(
        capture=str(capture),
        run=str(tmp_path / "whole"),
        method=name,
        preset="draft",
        device="cpu",
        steps=12,
        seed=11,
        settings=SMALL[name],
    )
    assert isinstance(list(run(job))[-1], Trained)
    events = run(dataclasses.replace(job, run=str(tmp_path / "cut"), checkpoint_seconds=1e-9))
    for event in events:
        if isinstance(event, Progress) and event.stage == "training" and event.done >= 5:
            break
    events.close()
    assert list((tmp_path / "cut" / "checkpoints").glob("step_*"))
    resumed = Train(capture=str(capture), run=str(tmp_path / "cut"), device="cpu", resume=True)
    assert list(run(resumed))[-1].steps == 12
    states = []
    for folder in ("whole", "cut"):
        (file,) = (tmp_path / folder / "checkpoints").glob("step_00000012*/state.safetensors")
        states.append(file.read_bytes())
    assert states[0] == states[1]


@pytest.mark.parametrize("name", PRESENT)
def test_a_loaded_method_shows_what_the_trained_one_showed(name, capture, tmp_path):
    from neural_backend.jobs import trained_method

    nf.train(
        capture,
        tmp_path / "run",
        method=name,
        preset="draft",
        device="cpu",
        steps=10,
        settings=SMALL[name],
    )
    trained = nf.load_run(tmp_path / "run", device="cpu")
    trained_method.forget_methods()
    loaded = nf.load_run(tmp_path / "run", device="cpu")
    assert loaded is not trained
    points = torch.rand(64, 3) * 2 - 1
    torch.testing.assert_close(loaded.density(points), trained.density(points))
    directions = torch.nn.functional.normalize(torch.randn(64, 3), dim=1)
    colors = loaded.color(points, directions)
    torch.testing.assert_close(colors, trained.color(points, directions))
    assert ((colors >= 0) & (colors <= 1)).all()


def test_a_recipe_of_an_unknown_method_or_setting_is_refused():
    recipe = MethodRecipe(
        method="magic", config={}, bounds=((-1.0,) * 3, (1.0,) * 3), unbounded=False, num_views=1
    )
    with pytest.raises(JobError, match="no method 'magic'"):
        build_method(recipe, torch.device("cpu"))
    recipe = dataclasses.replace(recipe, method="nerf", config={"magic": 1})
    with pytest.raises(JobError, match="no setting 'magic'"):
        build_method(recipe, torch.device("cpu"))


def test_presets_can_be_changed_by_settings():
    plain = method_config("nerf", "draft")
    assert method_config("nerf", "draft", ("steps=5",)) == apply_settings(plain, ["steps=5"])


def test_a_training_that_begins_on_cuda_has_the_tables_that_are_meant_for_it():
    plain = method_config("instant_ngp", "draft")
    there = method_config("instant_ngp", "draft", device="cuda")
    assert there.log2_entries == plain.log2_entries_cuda > plain.log2_entries
    assert there.levels == plain.levels_cuda
    assert there.finest == plain.finest_cuda
    asked = method_config("instant_ngp", "draft", ("log2_entries=12",), device="cuda")
    assert asked == dataclasses.replace(there, log2_entries=12)
    assert method_config("nerf", "draft", device="cuda") == method_config("nerf", "draft")
