#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a graphics card's kernels against what its memory can do; `benchmark.py` shows them.

    python scripts/benchmark_kernels.py                on CUDA
    python scripts/benchmark_kernels.py --device cpu   only prints, to try the script

The hash grid's time is compared with what the bytes that it moves would take at the bandwidth of a
large copy, that of the networks with torch's own products and with the rate of a large product, all
measured in the same run. A training step is one of `instant_ngp` on the capture lego_400 at 400
pixels, after the occupancy grid has settled; where its time goes is torch's own profile. Its view
is rendered as the viewport's are, up to its arrival in the computer's memory.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

import environment  # noqa: E402

FIGURES = REPOSITORY / "docs" / "figures" / "kernels_cuda.json"
LOG2_POINTS = (18, 20, 22)
STEP_LIMIT_MS, STEP_SAMPLES = 1.2, 2**18
MOST_TIMES_THE_COPY = 2.0
VIEW_LIMIT_MS, VIEW_SIZE = 50.0, (1920, 1080)
_FLOAT = 4


def main() -> int:
    """Returns the exit status: 0 done, 2 misused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--log2-points", type=int, nargs="*", default=LOG2_POINTS)
    parser.add_argument("--samples", type=int, default=STEP_SAMPLES, help="of a training step")
    parser.add_argument("--warm-up-steps", type=int, default=512)
    chosen = os.environ.get("NEURAL_FIELDS_TEST_DATA")
    default = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="folder of the captures")
    arguments = parser.parse_args()

    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no NVIDIA card that torch can use here. Nothing was measured.")
        return 2
    if not (arguments.data / "lego_400").is_dir():
        print(f"No capture lego_400 at {arguments.data}. Name its folder with --data.")
        return 2
    device = torch.device(arguments.device)
    bandwidth = copy_bandwidth(device)
    method, step = learner(arguments.data, arguments.samples, device)
    figures = {
        "date": date.today().isoformat(),
        "machine": torch.cuda.get_device_name() if device.type == "cuda" else "a CPU",
        "copy_gb_per_s": round(bandwidth / 1e9, 1),
        "hash_grid": [hash_grid_row(2**log2, bandwidth, device) for log2 in arguments.log2_points],
        "networks": networks_row(arguments.samples, device),
        "step": step_row(step, arguments.samples, arguments.warm_up_steps, device),
        "view": view_row(arguments.data, method, device),
    }
    print("\n".join(section(figures)))
    if device.type == "cuda":
        from neural_backend.jobs.run_folder import write_json

        FIGURES.parent.mkdir(parents=True, exist_ok=True)
        write_json(FIGURES, figures)
    return 0


def seconds_of(call: Callable[[], object], device, repeats: int = 20) -> float:  # noqa: ANN001
    """The median time of a call, after one that is not counted: the first compiles."""
    import torch

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    call()
    times = []
    for _ in range(repeats):
        finish()
        started = time.perf_counter()
        call()
        finish()
        times.append(time.perf_counter() - started)
    return sorted(times)[repeats // 2]


def copy_bandwidth(device) -> float:  # noqa: ANN001
    """Bytes a second that a large copy reads and writes."""
    import torch

    size = 2**30 if device.type == "cuda" else 2**26
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds_of(lambda: target.copy_(source), device)


def hash_grid_row(points: int, bandwidth: float, device) -> dict[str, float]:  # noqa: ANN001
    """Encoding random points, forward and backward, against the bytes that have to move.

    Of each corner a forward pass reads the features; a backward pass reads and writes their slopes.
    Points, features and the features' slopes pass once each.
    """
    import torch

    from neural_backend.kernels.hash_grid import hash_encode
    from neural_backend.methods.instant_ngp_config import PRESETS, build_field

    bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
    layout = build_field(PRESETS["final"], bounds, False, torch.Generator()).encoding.layout
    table = torch.rand(layout.offsets[-1], layout.features_per_level, device=device)
    # As in training on CUDA, where half of the precision is read.
    rounded = table.half() if device.type == "cuda" else None
    table.requires_grad_()
    places = torch.rand(points, 3, device=device)
    slope = torch.rand(points, layout.num_features, device=device)

    def both_ways() -> None:
        table.grad = None
        hash_encode(places, table, layout, rounded).backward(slope)

    seconds = seconds_of(both_ways, device, repeats=10)
    passing = (3 + 2 * layout.num_features) * _FLOAT
    read = table.element_size() if rounded is None else rounded.element_size()
    corners = 8 * layout.num_features * (read + 2 * _FLOAT)
    least = points * (passing + corners) / bandwidth
    return {
        "points": points,
        "ms": round(1e3 * seconds, 3),
        "copy_ms": round(1e3 * least, 3),
        "times_the_copy": round(seconds / least, 2),
    }


def networks_row(points: int, device) -> dict[str, float]:  # noqa: ANN001
    """The two networks of a field, forward and backward, fused and by torch's own products in
    bfloat16; and what share of a large product's rate the fused ones reach.
    """
    import torch

    from neural_backend.kernels import fused_mlp
    from neural_backend.kernels.instant_ngp import NetworkSizes
    from neural_backend.methods.instant_ngp_config import PRESETS

    config = PRESETS["standard"]
    sizes = NetworkSizes(32, config.width, config.color_layers, config.density_shift)
    num_weights = sum(rows * columns for rows, columns in sizes.shapes)
    owners = torch.arange(points, device=device) // config.samples_per_ray

    def both_ways(density_of, color_of, dtype) -> Callable[[], None]:  # noqa: ANN001
        features, weights, squeeze, harmonics = (
            torch.rand(*shape, device=device).to(dtype)
            for shape in ((points, 32), (num_weights,), (points,), (int(owners[-1]) + 1, 16))
        )
        features.requires_grad_()
        weights.requires_grad_()
        seen_along = fused_mlp.Gathered(harmonics, owners)

        def call() -> None:
            told = sizes.density_network, sizes.density_shift, squeeze
            density, geometry = density_of(features, weights, *told)
            rgb = color_of(geometry, weights, sizes.color_network, seen_along)
            (density.sum() + rgb.sum()).backward()

        return call

    twins = fused_mlp.density_by_torch, fused_mlp.color_by_torch
    by_torch = both_ways(*twins, torch.bfloat16)
    fused = both_ways(fused_mlp.density_mlp, fused_mlp.color_mlp, torch.float32)
    seconds = seconds_of(fused, device)
    products = 2 * points * num_weights
    side = 2**13 if device.type == "cuda" else 2**10
    large = torch.rand(side, side, device=device).bfloat16()
    rate = 2 * side**3 / seconds_of(lambda: large @ large, device)
    return {
        "points": points,
        "ms": round(1e3 * seconds, 3),
        "torch_ms": round(1e3 * seconds_of(by_torch, device), 3),
        "peak_tflop_per_s": round(rate / 1e12, 1),
        # Forward, and backward by inputs and by matrices.
        "share_of_peak": round(3 * products / seconds / rate, 3),
    }


def learner(data: Path, samples: int, device):  # noqa: ANN001, ANN201
    """An untrained `instant_ngp` on lego_400, and the function that takes a training step."""
    from dataclasses import replace

    import torch

    from neural_backend.datasets.images import load_images
    from neural_backend.datasets.loading import load_capture
    from neural_backend.datasets.ray_batches import RayBatches
    from neural_backend.methods.base import TrainingProgress
    from neural_backend.methods.instant_ngp import InstantNGP
    from neural_backend.methods.registry import method_config

    capture = load_capture(data / "lego_400").split("train")
    batches = RayBatches(load_images(capture), device)
    config = replace(
        method_config("instant_ngp", "standard", device=device.type),
        samples_per_step=samples,
        final_samples_per_step=samples,
        cuda_samples_per_step=samples,
    )
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    method = InstantNGP(config, bounds, capture.unbounded, batches.num_views, device)
    generator = torch.Generator().manual_seed(0)
    method.prepare(batches)
    steps = itertools.count()

    def step() -> None:
        method.train_step(batches, TrainingProgress(next(steps), 0.5), generator)

    return method, step


def view_row(data: Path, method, device) -> dict[str, float]:  # noqa: ANN001
    """The time of a view of `VIEW_SIZE` from the capture's first camera."""
    from dataclasses import replace

    from neural_backend.datasets.loading import load_capture
    from neural_backend.jobs.field_views import render_field

    view = load_capture(data / "lego_400").split("train").views[0]
    width, height = VIEW_SIZE
    lens = view.intrinsics
    focal = lens.focal_x_px * height / lens.height
    wide = replace(
        lens,
        width=width,
        height=height,
        focal_x_px=focal,
        focal_y_px=focal,
        center_x_px=width / 2,
        center_y_px=height / 2,
    )
    view = replace(view, intrinsics=wide)
    seconds = seconds_of(lambda: list(render_field(method, view)), device, repeats=5)
    return {"width": width, "height": height, "ms": round(1e3 * seconds, 1)}


def step_row(step: Callable[[], None], samples: int, warm_up: int, device) -> dict:  # noqa: ANN001
    """A training step in its middle age: milliseconds, memory, and the kernels that it spends."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from neural_backend.methods.instant_ngp_config import PRESETS

    for _ in range(warm_up):
        step()
    # Every so many steps the occupancy grid looks around: whole rounds count.
    rounds = PRESETS["standard"].occupancy_every
    seconds = seconds_of(lambda: [step() for _ in range(rounds)], device, repeats=8) / rounds
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        for _ in range(rounds):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    own = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = profiler.key_averages()
    total = sum(getattr(event, own) for event in events) or 1.0
    longest = sorted(events, key=lambda event: getattr(event, own), reverse=True)[:10]
    row = {
        "samples": samples,
        "ms": round(1e3 * seconds, 3),
        "profile": [[event.key[:60], round(getattr(event, own) / total, 3)] for event in longest],
    }
    if device.type == "cuda":
        row["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return row


def section(figures: dict) -> list[str]:
    """The part of docs/BENCHMARKS.md that is about the kernels."""
    step, view, networks = figures["step"], figures["view"], figures["networks"]
    lines = [
        "",
        "## Kernels on CUDA",
        "",
        f"Measured on {figures['date']}: {figures['machine']}, which copies "
        f"{figures['copy_gb_per_s']:g} GB/s (read and written).",
        "",
        "| hash grid, forward and backward | time | its bytes at the copy's speed | times that |",
        "|---|---|---|---|",
    ]
    for row in figures["hash_grid"]:
        verdict = "reached" if row["times_the_copy"] <= MOST_TIMES_THE_COPY else "missed"
        lines.append(
            f"| {row['points']:,} points | {row['ms']:g} ms | {row['copy_ms']:g} ms "
            f"| {row['times_the_copy']:g} (≤ {MOST_TIMES_THE_COPY:g}: {verdict}) |"
        )
    verdict = "reached" if view["ms"] <= VIEW_LIMIT_MS else "missed"
    lines += [
        "",
        f"A view of {view['width']} × {view['height']} pixels of the scene learned takes "
        f"{view['ms']:g} ms (≤ {VIEW_LIMIT_MS:g}: {verdict}).",
        "",
        f"The two networks take {networks['ms']:g} ms for {networks['points']:,} points, forward "
        f"and backward, {100 * networks['share_of_peak']:.1f} % of the rate of a large product "
        f"({networks['peak_tflop_per_s']:g} TFLOP/s in bfloat16); by torch's own products "
        f"{networks['torch_ms']:g} ms.",
    ]
    verdict = "reached" if step["ms"] <= STEP_LIMIT_MS else "missed"
    memory = f", {step['memory_gb']:g} GB at most" if "memory_gb" in step else ""
    lines += [
        "",
        f"A training step of {step['samples']:,} samples takes {step['ms']:g} ms "
        f"(≤ {STEP_LIMIT_MS:g}: {verdict}){memory}. It spends its time on:",
        "",
        "| kernel | share |",
        "|---|---|",
    ]
    return lines + [f"| `{name}` | {100 * share:.1f} % |" for name, share in step["profile"]]


if __name__ == "__main__":
    environment.enter()
    sys.exit(main())
