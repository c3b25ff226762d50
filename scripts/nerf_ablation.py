# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes NeRF apart, as table 2 of its paper does, on a small scene full of reflections.

`python scripts/nerf_ablation.py --seconds 120` trains the complete method for two minutes of the
processor, then as many steps of each variant, prints a table of their PSNR on unseen views and
writes it to docs/figures/nerf_ablation.json.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from make_test_data import GLOSSY_BOUNDS, make_glossy_scene  # noqa: E402

from neural_backend.datasets.images import load_images  # noqa: E402
from neural_backend.datasets.loading import load_capture  # noqa: E402
from neural_backend.datasets.ray_batches import RayBatches  # noqa: E402
from neural_backend.methods.base import TrainingProgress  # noqa: E402
from neural_backend.methods.nerf import PRESETS, NeRF, NeRFConfig  # noqa: E402
from neural_backend.training.metrics import psnr, ssim  # noqa: E402

COMPLETE = replace(PRESETS["draft"], rays=1024, coarse_samples=4, fine_samples=8)
"""Of small networks. The samples have the paper's proportion, and are some pixels apart as there:
with a sample per pixel even an image of 72 pixels shows nothing of where they are placed."""

VARIANTS: dict[str, tuple[dict[str, Any], float | None]] = {
    "complete": ({}, 31.01),
    # As many evaluations a ray as the complete method's two networks together, as in the paper.
    "no hierarchical sampling": (
        {
            "hierarchical": False,
            "coarse_samples": 2 * COMPLETE.coarse_samples + COMPLETE.fine_samples,
        },
        30.06,
    ),
    "no positional encoding": ({"encoding": "none"}, 28.77),
    "no view dependence": ({"view_dependence": False}, 27.66),
    "Fourier features instead": ({"encoding": "fourier", "fourier_features": 128}, None),
}
"""What is changed, and the PSNR that the paper has for it (Mildenhall et al. 2020, table 2)."""

PAPER_ORDER = list(VARIANTS)[:4]


def train(
    config: NeRFConfig, batches: RayBatches, steps: int, seconds: float, seed: int
) -> tuple[NeRF, int, float]:
    """A trained method, its steps and processor seconds: `steps`, or what fits into `seconds`."""
    method = NeRF(
        config,
        bounds=torch.tensor(GLOSSY_BOUNDS),
        unbounded=False,
        num_views=batches.num_views,
        device=torch.device("cpu"),
        seed=seed,
    )
    batches.candidates = None
    generator = torch.Generator().manual_seed(seed)
    start, step, fraction = time.process_time(), 0, 0.0
    while fraction < 1:
        method.train_step(batches, TrainingProgress(step, fraction), generator)
        step += 1
        elapsed = time.process_time() - start
        fraction = step / steps if steps else elapsed / seconds
        sys.stderr.write(f"\r  step {step}, {100 * min(fraction, 1):.0f} %, {elapsed:.0f} s ")
    return method, step, time.process_time() - start


def evaluate(method: NeRF, batches: RayBatches) -> tuple[float, float]:
    """Mean PSNR and SSIM over all views, on white."""
    scores = []
    for index in range(batches.num_views):
        truth = batches.view_image(index)
        shown = method.render_rays(batches.view_rays(index))
        rgb = (shown.rgb + 1 - shown.accumulation[:, None]).reshape(truth[..., :3].shape).numpy()
        alpha = truth[..., 3:]
        over_white = (truth[..., :3] * alpha + 1 - alpha).numpy()
        scores.append((psnr(rgb, over_white), ssim(rgb, over_white)))
    return tuple(float(mean) for mean in np.mean(scores, axis=0))


def run_variants(training: RayBatches, testing: RayBatches, arguments: argparse.Namespace) -> list:
    """Trains and prints one row after the other."""
    steps = 0 if arguments.seconds else arguments.steps
    rows = []
    print(f"{'variant':28} {'PSNR':>6} {'SSIM':>6} {'paper':>6} {'steps':>6} {'cpu s':>8}")
    for name, (changes, in_paper) in VARIANTS.items():
        config = replace(COMPLETE, **changes)
        scores, seconds = [], 0.0
        for seed in range(arguments.seeds):
            method, steps, taken = train(config, training, steps, arguments.seconds, seed)
            scores.append(evaluate(method, testing))
            seconds += taken
        decibels, similarity = np.mean(scores, axis=0)
        rows.append(
            {
                "variant": name,
                "changes": changes,
                "psnr": round(float(decibels), 2),
                "psnr_by_seed": [round(float(one), 2) for one, _ in scores],
                "ssim": round(float(similarity), 4),
                "paper_psnr": in_paper,
                "steps": steps,
                "cpu_seconds": round(seconds, 1),
            }
        )
        sys.stderr.write("\r" + 40 * " " + "\r")
        paper = f"{in_paper:6.2f}" if in_paper else 6 * " "
        print(f"{name:28} {decibels:6.2f} {similarity:6.4f} {paper} {steps:6} {seconds:8.0f}")
    return rows


def main() -> int:
    """Returns 0 where the paper's order holds, 1 where it does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200, help="training steps of each variant")
    parser.add_argument(
        "--seconds", type=float, default=0, help="instead: processor time of the complete method"
    )
    parser.add_argument("--size", type=int, default=72, help="side of the images, in pixels")
    parser.add_argument("--views", type=int, default=50, help="every fifth is for testing")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of which the mean counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "figures" / "nerf_ablation.json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    with tempfile.TemporaryDirectory() as folder:
        scene = make_glossy_scene(Path(folder), size=arguments.size, num_views=arguments.views)
        capture = load_capture(scene)
        training = RayBatches(load_images(capture.split("train")))
        testing = RayBatches(load_images(capture.split("test")))
    rows = run_variants(training, testing, arguments)

    by_name = {row["variant"]: row["psnr"] for row in rows}
    in_order = [by_name[name] for name in PAPER_ORDER]
    holds = in_order == sorted(in_order, reverse=True)
    print("The paper's order holds." if holds else "The paper's order does not hold.")
    report = {
        "scene": f"glossy, {arguments.size} pixels, {training.num_views} training and "
        f"{testing.num_views} test views, by scripts/make_test_data.py",
        "seeds": arguments.seeds,
        "order_holds": holds,
        "rows": rows,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.output.with_name(arguments.output.name + ".part")
    part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    part.replace(arguments.output)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
