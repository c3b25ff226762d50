# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import math

import pytest
import torch

from neural_backend.datasets.ray_batches import RayBatch
from neural_backend.geometry.rays import Rays
from neural_backend.kernels import triton_use
from neural_backend.protocol.errors import JobError
from neural_backend.training.checkpoint import load_checkpoint, save_checkpoint
from neural_backend.training.trainer import Stopwatch, TrainerConfig, train
from tests.tiny_method import TinyConfig, TinyMethod

BOUNDS = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


class OrangeBatches:
    """Rays that look at the origin and see an opaque orange."""

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        origins = 3 * torch.nn.functional.normalize(
            torch.randn(count, 3, generator=generator), dim=1
        )
        rgba = torch.tensor([1.0, 0.5, 0.1, 1.0]).expand(count, 4)
        return RayBatch(Rays(origins, -origins / 3), rgba)


def make_method(**changes) -> TinyMethod:
    return TinyMethod(TinyConfig(**changes), BOUNDS, False, 1, torch.device("cpu"))


def same_state(one: TinyMethod, other: TinyMethod) -> bool:
    return all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())


def test_a_budget_in_steps_takes_exactly_those_steps_and_saves_once_at_the_end():
    saved = []
    reports = list(train(make_method(), OrangeBatches(), TrainerConfig(steps=37), saved.append))
    assert [progress.step for progress in saved] == [37]
    assert reports[-1].step == 37
    assert reports[-1].fraction == 1
    assert reports[-1].eta_s == 0
    assert reports[-1].loss is not None


def test_the_tiny_method_learns_the_color_that_the_rays_see():
    method = make_method()
    list(train(method, OrangeBatches(), TrainerConfig(steps=300), lambda progress: None))
    points = torch.zeros(1, 3)
    torch.testing.assert_close(
        method.color(points, points), torch.tensor([[1.0, 0.5, 0.1]]), atol=0.1, rtol=0
    )


def test_a_budget_in_seconds_ends_and_its_fraction_is_of_the_time():
    method = make_method(step_seconds=0.01)
    config = TrainerConfig(seconds=0.2, report_seconds=0.0)
    reports = [r for r in train(method, OrangeBatches(), config, lambda p: None) if r.step]
    assert 1 <= reports[-1].step <= 21
    assert reports[-1].fraction == 1
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    for report in reports:
        # The seconds of a report are read after its fraction.
        assert report.fraction <= min(1, report.seconds / 0.2) + 1e-9


def test_the_clock_stands_still_while_the_caller_holds_a_report(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    watch = Stopwatch(5.0)
    now[0] = 1.0
    assert watch.seconds == 5.0
    watch.go()
    now[0] = 3.0
    watch.pause()
    now[0] = 9.0
    assert watch.seconds == 7.0

    config = TrainerConfig(steps=5, report_seconds=0.0)
    for report in train(make_method(), OrangeBatches(), config, lambda progress: None):
        now[0] += 100.0
        assert report.seconds == 0.0


def test_a_training_cut_in_two_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    config = TrainerConfig(steps=40, seed=7, report_seconds=0.0)
    whole = make_method()
    list(train(whole, OrangeBatches(), config, lambda progress: None))

    first = make_method()

    def save(progress):
        save_checkpoint(tmp_path, {}, first.state(), progress)

    training = train(first, OrangeBatches(), config, save)
    for report in training:
        if report.step == 13:
            training.close()
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.progress.step == 13
    second = make_method()
    second.load_state(checkpoint.state)
    resumed = train(second, OrangeBatches(), config, lambda p: None, resume=checkpoint.progress)
    assert next(resumed).step == 13
    assert list(resumed)[-1].step == 40
    assert same_state(second, whole)
    assert second.prepared == 1


def test_the_seed_decides_the_result():
    methods = [make_method() for _ in range(3)]
    for method, seed in zip(methods, (1, 1, 2), strict=True):
        list(train(method, OrangeBatches(), TrainerConfig(steps=5, seed=seed), lambda p: None))
    assert same_state(methods[0], methods[1])
    assert not same_state(methods[0], methods[2])


def test_measuring_happens_at_the_fractions_asked_for_and_changes_nothing():
    quiet, measured = make_method(), make_method()
    list(train(quiet, OrangeBatches(), TrainerConfig(steps=20), lambda p: None))
    values = iter([10.0, 20.0])
    config = TrainerConfig(steps=20, evaluate_at=(0.25, 0.5))
    reports = list(
        train(measured, OrangeBatches(), config, lambda p: None, measure=lambda: next(values))
    )
    assert [(r.step, r.psnr) for r in reports if r.psnr] == [(5, 10.0), (10, 20.0)]
    assert same_state(quiet, measured)


def test_checkpoints_come_as_often_as_asked_for():
    saved = []
    config = TrainerConfig(steps=6, checkpoint_seconds=1e-9)
    list(train(make_method(), OrangeBatches(), config, saved.append))
    assert [progress.step for progress in saved] == [1, 2, 3, 4, 5, 6]
    saved.clear()
    config = dataclasses.replace(config, checkpoint_seconds=0.0)
    list(train(make_method(), OrangeBatches(), config, saved.append))
    assert [progress.step for progress in saved] == [6]


def test_closing_before_the_first_step_saves_nothing():
    saved = []
    training = train(make_method(), OrangeBatches(), TrainerConfig(steps=5), saved.append)
    next(training)
    training.close()
    assert saved == []


def test_a_loss_that_is_no_number_stops_with_a_remedy_and_saves_nothing():
    saved = []
    training = train(make_method(nan_at=3), OrangeBatches(), TrainerConfig(steps=9), saved.append)
    with pytest.raises(JobError, match=r"fell apart.*last good checkpoint is kept"):
        list(training)
    assert saved == []


def test_a_method_that_compiles_says_so_before_the_clock_runs():
    method = make_method()
    calls = []
    method.warm_up = lambda: calls.append("warm up")
    reports = list(train(method, OrangeBatches(), TrainerConfig(steps=1), lambda p: None))
    assert reports[0].stage == "compiling kernels, once"
    assert reports[0].seconds == 0.0
    assert calls == ["warm up"]
    assert {report.stage for report in reports[2:]} == {"training"}


class TritonError(Exception):
    """Called as Triton's own is."""


class CompilationError(TritonError):
    pass


def test_where_triton_fails_training_says_so_and_goes_on_without_it(monkeypatch, caplog):
    monkeypatch.setattr(triton_use, "given_up", False)
    method, faults = make_method(), [CompilationError("at 7:3:\n  tl.dot"), None]

    def warm_up() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    method.warm_up = warm_up
    reports = list(train(method, OrangeBatches(), TrainerConfig(steps=1), lambda p: None))
    assert [report.stage for report in reports[:2]] == [
        "compiling kernels, once",
        "going on without Triton's kernels, which failed",
    ]
    assert triton_use.given_up
    assert not triton_use.has_triton()
    (record,) = caplog.records
    assert "could not make a kernel for this graphics card (at 7:3:), so torch" in record.message
    assert reports[-1].step == 1


def test_other_faults_while_kernels_are_compiled_end_the_training(monkeypatch):
    monkeypatch.setattr(triton_use, "given_up", False)
    method = make_method()
    method.warm_up = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(train(method, OrangeBatches(), TrainerConfig(steps=1), lambda p: None))
    assert not triton_use.given_up


def test_the_remaining_time_is_told_from_the_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    method = make_method()
    step = method.train_step

    def slow_step(*arguments):
        now[0] += 2.0
        return step(*arguments)

    method.train_step = slow_step
    reports = list(train(method, OrangeBatches(), TrainerConfig(steps=10), lambda p: None))
    halfway = next(report for report in reports if report.step == 5)
    assert halfway.eta_s == pytest.approx(10.0)
    assert halfway.seconds == pytest.approx(10.0)


class HungryMethod(TinyMethod):
    """Has memory for `room` rays a step, and notes how many it was asked to take."""

    room = 10

    def train_step(self, batches, progress, generator):
        self.asked = [*getattr(self, "asked", []), progress.part_of(64)]
        if self.asked[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().train_step(batches, progress, generator)


def test_where_memory_is_full_steps_take_fewer_rays_and_it_is_said():
    method = HungryMethod(TinyConfig(), BOUNDS, False, 1, torch.device("cpu"))
    reports = list(train(method, OrangeBatches(), TrainerConfig(steps=5), lambda progress: None))
    assert method.asked == [64, 32, 16, *[8] * 5]
    assert sum("memory was full" in report.stage for report in reports) == 3
    assert reports[-1].step == 5


def test_the_clock_stands_still_while_it_is_said_that_memory_was_full(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    method = HungryMethod(TinyConfig(), BOUNDS, False, 1, torch.device("cpu"))
    for report in train(method, OrangeBatches(), TrainerConfig(steps=5), lambda progress: None):
        now[0] += 100.0
        assert report.seconds == 0.0


def test_where_not_even_the_smallest_step_fits_the_training_ends():
    method = HungryMethod(TinyConfig(), BOUNDS, False, 1, torch.device("cpu"))
    method.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        list(train(method, OrangeBatches(), TrainerConfig(steps=5), lambda progress: None))
    assert method.asked == [64, 32, 16, 8, 4, 2, 1]


def test_a_budget_is_required():
    with pytest.raises(ValueError, match="budget"):
        TrainerConfig()
    assert math.isclose(TrainerConfig(seconds=1.5).seconds, 1.5)
