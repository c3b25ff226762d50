# SPDX-License-Identifier: GPL-3.0-or-later
"""COLMAP as a program of its own: found, run step by step, and stopped with the job.

Either the command `colmap` or the package `pycolmap` will do. Both run in a process of their own,
which a job can end at any moment.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..protocol.errors import JobError
from .colmap_bindings import CAMERA_MODEL

_BINDINGS = Path(__file__).with_name("colmap_bindings.py")
_COUNTED = re.compile(
    r"Processed file \[(\d+)/\d+\]|Registering image.*\((\d+)\)|num_reg_frames=(\d+)"
    r"|(?:Processing|Matching) image \[(\d+)/\d+\]"
)
_BLOCK = re.compile(r"(?:Processing|Matching) block \[(\d+)/(\d+), (\d+)/(\d+)\]")
_KEPT_LINES = 12


@dataclass(frozen=True)
class ColmapStep:
    """What one step is called, and the command line that does it."""

    stage: str
    command: tuple[str, ...]


def colmap_steps(
    pictures: Path, folder: Path, one_camera: bool, in_sequence: bool
) -> list[ColmapStep]:
    """The steps that find the cameras of `pictures` and write models into `folder`/sparse.

    Raises:
        JobError: where COLMAP is not installed.
    """
    program = os.environ.get("NEURAL_FIELDS_COLMAP") or shutil.which("colmap")
    matcher = "sequential_matcher" if in_sequence else "exhaustive_matcher"
    database, models = folder / "database.db", folder / "sparse"
    stages = ("finding features", "matching pictures", "solving cameras")
    if program:
        common = ("--database_path", str(database))
        images = ("--image_path", str(pictures))
        shared = ("--ImageReader.single_camera", "1" if one_camera else "0")
        commands = (
            (
                "feature_extractor",
                *common,
                *images,
                *shared,
                "--ImageReader.camera_model",
                CAMERA_MODEL,
            ),
            (matcher, *common),
            ("mapper", *common, *images, "--output_path", str(models)),
        )
        without_gpu = _switch_for_processor(program)
        return [
            ColmapStep(stage, (program, *command, *without_gpu.get(command[0], ())))
            for stage, command in zip(stages, commands, strict=True)
        ]
    if find_spec("pycolmap") is None:
        raise JobError(
            "Photos alone do not say where they were taken, and COLMAP, which finds that out, is "
            "not installed.",
            f"Install COLMAP (colmap.github.io), or run: {sys.executable} -m pip install pycolmap. "
            "Or choose a capture whose cameras are known: a folder with a transforms.json or a "
            "COLMAP model.",
        )
    paths = (str(database), str(pictures), str(models))
    mode = ("one" if one_camera else "many",)
    python = (sys.executable, "-I", str(_BINDINGS))
    return [
        ColmapStep(stages[0], (*python, "extract", *paths, *mode)),
        ColmapStep(stages[1], (*python, matcher.split("_")[0], *paths, *mode)),
        ColmapStep(stages[2], (*python, "map", *paths, *mode)),
    ]


def run_step(step: ColmapStep, log: Path, num_pictures: int) -> Generator[int, None, None]:
    """Runs a step; yields how many pictures are done whenever it says so. Closing it ends it.

    Raises:
        JobError: where the step fails; what it said is in `log`.
    """
    last: list[str] = []
    try:
        process = subprocess.Popen(
            step.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise JobError(
            f"{step.command[0]} cannot be started: {error.strerror}.", "Install COLMAP again."
        ) from error
    assert process.stdout is not None
    try:
        with log.open("a", encoding="utf-8") as written:
            for line in process.stdout:
                written.write(line)
                last = [*last[1 - _KEPT_LINES :], line.strip()]
                done = pictures_done(line, num_pictures)
                if done is not None:
                    yield done
        status = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    if status:
        raise JobError(
            f"COLMAP failed while {step.stage}: {last[-1] if last else f'status {status}'}",
            f"Its words are in {log}. Photos need texture, and much in common with their "
            "neighbours.",
        )


def pictures_done(line: str, num_pictures: int) -> int | None:
    """How many pictures are done by a line of COLMAP's; None where it says nothing of that.

    Of a block of pairs that is begun it is the share of the blocks before it.
    """
    found = _COUNTED.search(line)
    if found:
        return int(next(number for number in found.groups() if number))
    block = _BLOCK.search(line)
    if block is None:
        return None
    row, rows, column, columns = map(int, block.groups())
    return num_pictures * ((row - 1) * columns + column - 1) // (rows * columns)


def _switch_for_processor(program: str) -> dict[str, tuple[str, ...]]:
    """Options that keep COLMAP off a graphics card where there is none; their names changed."""
    if shutil.which("nvidia-smi"):
        return {}
    named: dict[str, tuple[str, ...]] = {}
    for command, names in (
        ("feature_extractor", ("FeatureExtraction.use_gpu", "SiftExtraction.use_gpu")),
        ("exhaustive_matcher", ("FeatureMatching.use_gpu", "SiftMatching.use_gpu")),
        ("sequential_matcher", ("FeatureMatching.use_gpu", "SiftMatching.use_gpu")),
    ):
        known = _help_of(program, command)
        found = next((name for name in names if name in known), None)
        if found:
            named[command] = (f"--{found}", "0")
    return named


def _help_of(program: str, command: str) -> str:
    try:
        shown = subprocess.run(
            [program, command, "-h"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout + shown.stderr
