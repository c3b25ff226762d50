# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training has learned, as a folder of JSON and safetensors.

`checkpoints/step_00000500/` holds `config.json` (what to build), `state.safetensors` (tensors) and
`progress.json`; `checkpoints/last.json` names the newest. A checkpoint is written beside the last
one and becomes the last by the replacement of that small file, so that a process killed at any
moment leaves a valid one.
"""

import json
import shutil
import struct
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..protocol.errors import JobError

GENERATOR = "training.generator"
"""The tensor that holds the state of the training's random numbers."""

_KINDS = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SavedProgress:
    """Where the training stood; `seconds` are those spent learning."""

    step: int
    seconds: float
    seed: int
    generator: Tensor


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint in memory. `name` tells it from every other checkpoint of its run."""

    name: str
    config: dict[str, Any]
    state: dict[str, Tensor]
    progress: SavedProgress


def save_checkpoint(
    folder: Path, config: dict[str, Any], state: dict[str, Tensor], progress: SavedProgress
) -> str:
    """Makes this the last checkpoint in `folder`; older ones are removed. Returns its name.

    Raises:
        JobError: where the state holds NaN; the last checkpoint stays as it was.
    """
    spoiled = [
        name for name, tensor in state.items() if tensor.is_floating_point() and _has_nan(tensor)
    ]
    if spoiled:
        raise JobError(
            f"The training fell apart: {spoiled[0]} holds values that are no numbers.",
            "The last good checkpoint is kept; train again with another seed or gentler settings.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = _free_name(folder, progress.step)
    written = folder / f".{name}.part"
    shutil.rmtree(written, ignore_errors=True)
    try:
        written.mkdir()
        _write_tensors(written / "state.safetensors", {**state, GENERATOR: progress.generator})
        _write_json(written / "config.json", config)
        numbers = asdict(progress)
        del numbers["generator"]
        _write_json(written / "progress.json", numbers)
        written.rename(folder / name)
        _write_json(folder / ".last.json.part", {"checkpoint": name})
        (folder / ".last.json.part").replace(folder / "last.json")
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise
    for old in folder.iterdir():
        if old.is_dir() and old.name != name:
            shutil.rmtree(old, ignore_errors=True)
    return name


def last_checkpoint(folder: Path) -> str:
    """The name of the last checkpoint in `folder`, '' where there is none yet."""
    pointer = folder / "last.json"
    if not pointer.exists():
        return ""
    name = _read_json(pointer).get("checkpoint")
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise _damaged(pointer, "it names no checkpoint")
    return name


def load_checkpoint(folder: Path) -> Checkpoint:
    """The last checkpoint in `folder`, on the CPU.

    Raises:
        JobError: where there is none, or it is damaged.
    """
    name = last_checkpoint(folder)
    if not name:
        raise JobError(
            f"There is no checkpoint in {folder}.", "Train the run (again) before using its result."
        )
    config = _read_json(folder / name / "config.json")
    numbers = _read_json(folder / name / "progress.json")
    file = folder / name / "state.safetensors"
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise _damaged(file, str(error)) from error
    generator = state.pop(GENERATOR, None)
    expected = {field.name for field in fields(SavedProgress)} - {"generator"}
    if generator is None or set(numbers) != expected:
        raise _damaged(folder / name, "it is incomplete")
    progress = SavedProgress(**numbers, generator=generator)
    return Checkpoint(name=name, config=config, state=state, progress=progress)


def _free_name(folder: Path, step: int) -> str:
    name, count = f"step_{step:08d}", 1
    while (folder / name).exists():
        count += 1
        name = f"step_{step:08d}_{count}"
    return name


def _has_nan(tensor: Tensor) -> bool:
    return bool(torch.isnan(tensor).any())


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes a safetensors file, one tensor after the other.

    The library's own writer holds all of them two more times in memory, which for a fine voxel grid
    is more than the training needs.

    Source: https://github.com/huggingface/safetensors, "Format".
    """
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind, shape = _KINDS[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(values, dict):
        raise _damaged(path, "it holds no JSON object")
    return values


def _damaged(path: Path, reason: str) -> JobError:
    return JobError(
        f"The checkpoint {path} cannot be read: {reason}.", "Train again into a new folder."
    )
