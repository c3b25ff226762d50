#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures quality against training time, and writes docs/BENCHMARKS.md.

    python scripts/benchmark.py                     every row; half an hour on a quiet machine
    python scripts/benchmark.py --only lego_100     rows whose name begins so; the others are kept
    python scripts/benchmark.py --device cuda       the rows of a graphics card

Each row is a training of its own, in a process of its own, with its seconds as the budget: from
pictures in memory to the trained field, without compiling kernels (cached between runs). PSNR is
the mean over the views of the test split, which is never trained on; memory is the peak of the
whole process.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

import benchmark_exact_shapes  # noqa: E402
import benchmark_kernels  # noqa: E402
import benchmark_shapes  # noqa: E402
import environment  # noqa: E402

FIGURES = REPOSITORY / "docs" / "figures"
PAGE = REPOSITORY / "docs" / "BENCHMARKS.md"
COMPILING = "compiling kernels, once"


@dataclass(frozen=True)
class Row:
    """A capture at a width, trained for some seconds, and the PSNR to reach.

    With `baselines`, these methods are trained for the same seconds, and the row's must be better
    by `gain` decibels than each of them.
    """

    name: str
    capture: str
    width: int
    seconds: float
    goal: float
    method: str = "auto"
    baselines: tuple[str, ...] = ()
    gain: float = 0.0
    device: str = "cpu"


ROWS = (
    Row("lego_100_2s", "lego_400", 100, 2, 28.0),
    Row("lego_100_15s", "lego_400", 100, 15, 30.5),
    Row("lego_200_15s", "lego_400", 200, 15, 30.0),
    Row("lego_200_60s", "lego_400", 200, 60, 31.5),
    Row("lego_200_240s", "lego_400", 200, 240, 33.0),
    Row("lego_400_60s", "lego_400", 400, 60, 29.5),
    Row("lego_400_300s", "lego_400", 400, 300, 31.5),
    Row("fox_135_120s", "fox", 135, 120, 24.0),
    Row("bonsai_200_180s", "bonsai", 200, 180, 24.0),
    Row("voxels_fox_135_120s", "fox", 135, 120, 0.0, method="voxel_grid"),
    Row("voxels_bonsai_200_180s", "bonsai", 200, 180, 0.0, method="voxel_grid"),
    Row(
        "moving_knight_100_120s",
        "kaykit_knight_dyn_200",
        100,
        120,
        26.0,
        baselines=("voxel_grid", "instant_ngp"),
        gain=3.0,
    ),
    Row(
        "moving_nrnerf_128_180s",
        "nrnerf_example",
        128,
        180,
        0.0,
        baselines=("instant_ngp",),
        gain=2.0,
    ),
    Row(
        "moving_at_rest_lego_100_60s",
        "lego_400",
        100,
        60,
        0.0,
        method="deformable_ngp",
        baselines=("instant_ngp",),
        gain=-1.0,
    ),
    Row("lego_400_3s", "lego_400", 400, 3, 33.0, device="cuda"),
    Row("lego_400_10s", "lego_400", 400, 10, 35.0, device="cuda"),
    Row("lego_400_60s", "lego_400", 400, 60, 36.0, device="cuda"),
    Row("fox_540_20s", "fox", 540, 20, 27.0, device="cuda"),
    Row("moving_knight_200_60s", "kaykit_knight_dyn_200", 200, 60, 32.0, device="cuda"),
)


def rows_of(device: str) -> list[Row]:
    """What is measured on this kind of device."""
    return [row for row in ROWS if row.device == device]


def main() -> int:
    """Returns the exit status: 0 done, 1 a row failed, 2 misused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--method", default="auto", help="train every row with this method")
    parser.add_argument("--data", type=Path, default=_data_folder(), help="folder of the captures")
    parser.add_argument("--row", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(_measure(arguments)))
        return 0
    if not arguments.data.is_dir():
        print(f"No captures at {arguments.data}. Name their folder with --data.")
        return 2
    status = 0
    for row in rows_of(arguments.device):
        if not row.name.startswith(arguments.only):
            continue
        methods = [arguments.method]
        if arguments.method == "auto":
            methods = [row.method, *row.baselines]
        measured, *others = [_in_own_process(row, method, arguments) for method in methods]
        if measured is None or None in others:
            status = 1
            continue
        measured["against"] = {other["method"]: other["psnr"] for other in others}
        print(_line(measured), flush=True)
        if arguments.method == "auto":
            _keep(measured, arguments.device)
    return status


def _data_folder() -> Path:
    chosen = os.environ.get("NEURAL_FIELDS_TEST_DATA")
    return Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"


def _in_own_process(row: Row, method: str, arguments: argparse.Namespace) -> dict | None:
    command = [sys.executable, __file__, "--row", row.name, "--device", arguments.device]
    command += ["--method", method, "--data", str(arguments.data)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{row.name}: failed: {reason}", flush=True)
        return None
    return json.loads(finished.stdout.splitlines()[-1])


def _measure(arguments: argparse.Namespace) -> dict:

    import neural_backend as nf

    compiling: list[float] = []

    def on_event(event: object) -> None:
        """Notes when compiling begins, and when what comes after it does."""
        stage = getattr(event, "stage", "")
        if stage == COMPILING or len(compiling) == 1:
            compiling.append(time.perf_counter())

    row = next(one for one in rows_of(arguments.device) if one.name == arguments.row)
    with tempfile.TemporaryDirectory() as folder:
        trained = nf.train(
            arguments.data / row.capture,
            Path(folder) / "run",
            image_width=row.width,
            seconds=row.seconds,
            device=arguments.device,
            method=arguments.method,
            on_event=on_event,
        )
        result = nf.evaluate(trained.run, images=False, device=arguments.device)
        metrics = json.loads((Path(result.output) / "metrics.json").read_text())
    seconds = sorted(view["seconds"] for view in metrics["views"])
    computer = _machine(arguments.device)
    return {
        **asdict(row),
        "method": trained.method,
        "psnr": round(result.psnr, 2),
        "ssim": round(result.ssim, 4),
        "steps": trained.steps,
        "trained_s": round(trained.seconds, 1),
        "view_s": seconds[len(seconds) // 2],
        "compiling_s": round(compiling[1] - compiling[0], 1) if len(compiling) > 1 else 0.0,
        "peak_gb": round(_peak_bytes(arguments.device) / 1e9, 2),
        "machine": computer,
        "date": date.today().isoformat(),
    }


def _peak_bytes(device: str) -> int:
    """Of the graphics card's memory where one computes, else of the whole process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _machine(device: str = "cpu") -> str:
    """The processor by name, and whether it has AVX-512, by which those of one name differ; before
    it the graphics card, where that was measured.
    """
    card = ""
    if device == "cuda":
        import torch

        card = f"{torch.cuda.get_device_name()}, "
    name, vectors = platform.processor() or platform.machine(), ""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        text = information.read_text()
        models = re.findall(r"^model name\s*: (.+)$", text, re.MULTILINE)
        name = models[0].strip() if models else name
        vectors = f", {'with' if 'avx512f' in text else 'without'} AVX-512"
    return f"{card}{name}{vectors}, {os.cpu_count()} cores"


def _keep(measured: dict, device: str) -> None:
    """Replaces this row of the stored figures, and writes the page anew."""
    from neural_backend.jobs.run_folder import write_json, write_text

    FIGURES.mkdir(parents=True, exist_ok=True)
    path = FIGURES / f"benchmarks_{device}.json"
    figures = json.loads(path.read_text()) if path.is_file() else {}
    figures[measured["name"]] = measured
    known = [row.name for row in rows_of(device)]
    write_json(path, {name: figures[name] for name in known if name in figures})
    write_text(PAGE, _page())


def _page() -> str:
    parts = [
        "# Benchmarks",
        "",
        "Written by `python scripts/benchmark.py`; nothing here is typed by hand. PSNR and SSIM",
        "are means over the views of the test split (for photos every eighth view), which is never",
        "trained on. Training seconds count from pictures in memory and leave out compiling the",
        "kernels, which happens once and is kept on disk. Memory is the peak of the whole process.",
    ]
    for path in sorted(FIGURES.glob("benchmarks_*.json")):
        rows = list(json.loads(path.read_text()).values())
        device = path.stem.removeprefix("benchmarks_")
        parts += [
            "",
            f"## Neural Fields on {device.upper()}",
            "",
            *_machines(rows),
            "",
            "| capture | width | method | training | PSNR | to reach | SSIM | a view | memory |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        parts += [
            f"| {row['capture']} | {row['width']} | {row['method']} | {row['trained_s']:g} s "
            f"| **{row['psnr']:.2f} dB** | {_to_reach(row)} | {row['ssim']:.3f} "
            f"| {row['view_s']:.3f} s | {row['peak_gb']:.2f} GB |"
            for row in rows
        ]
    if benchmark_kernels.FIGURES.is_file():
        parts += benchmark_kernels.section(json.loads(benchmark_kernels.FIGURES.read_text()))
    if not (FIGURES / "benchmarks_cuda.json").is_file():
        parts += [
            "",
            "## Neural Fields on CUDA",
            "",
            "Nothing was measured: no NVIDIA graphics card was to be had. With one,",
            "`python scripts/benchmark.py --device cuda`, `python scripts/benchmark_kernels.py`",
            "and `python scripts/benchmark_shapes.py --device cuda` write its figures.",
        ]
    ablation = FIGURES / "nerf_ablation.json"
    if ablation.is_file():
        parts += _ablation(json.loads(ablation.read_text()))
    for shapes in (benchmark_exact_shapes, benchmark_shapes):
        if shapes.FIGURES.is_file():
            parts += shapes.section(json.loads(shapes.FIGURES.read_text()))
    return "\n".join(parts) + "\n"


def _machines(rows: list[dict]) -> list[str]:
    """Where and when the rows were measured; which, where that was not all at once."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        places.setdefault((row["date"], row["machine"]), []).append(row["name"])
    if len(places) == 1:
        ((day, computer),) = places
        return [f"Measured on {day}: {computer}."]
    return [
        f"- Measured on {day}, {computer}: {', '.join(names)}."
        for (day, computer), names in places.items()
    ]


def _ablation(report: dict) -> list[str]:
    lines = [
        "",
        "## The parts of NeRF",
        "",
        "Written by `python scripts/nerf_ablation.py`: what is left of NeRF's quality without each",
        f"of its parts, at equal steps, the means of {report.get('seeds', 1)} trainings. "
        f"Scene: {report['scene']}.",
        "",
        "| variant | PSNR | SSIM | in the paper |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        paper = f"{row['paper_psnr']:.2f} dB" if row["paper_psnr"] else "–"
        lines.append(f"| {row['variant']} | {row['psnr']:.2f} dB | {row['ssim']:.3f} | {paper} |")
    return lines


def _to_reach(measured: dict) -> str:
    """The goal, and what other methods came to in the same time with what is asked on top."""
    parts = [f"{measured['goal']:g} dB"] if measured["goal"] else []
    for method, psnr in measured.get("against", {}).items():
        parts.append(f"{method}'s {psnr:.2f} {measured['gain']:+g} dB")
    return ", ".join(parts) or "–"


def _line(measured: dict) -> str:
    rivals = [psnr + measured["gain"] for psnr in measured["against"].values()]
    reached = measured["psnr"] >= max([measured["goal"], *rivals])
    verdict = "reached" if reached else "MISSED"
    return (
        f"{time.strftime('%H:%M:%S')} {measured['name']}: {measured['psnr']:.2f} dB, {verdict} "
        f"{_to_reach(measured)}, by {measured['method']} in {measured['trained_s']:g} s, "
        f"{measured['steps']} steps, compiling {measured['compiling_s']:g} s, "
        f"a view {measured['view_s']:.3f} s, {measured['peak_gb']:.2f} GB"
    )


if __name__ == "__main__":
    environment.enter()
    sys.exit(main())
