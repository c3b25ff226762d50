# SPDX-License-Identifier: GPL-3.0-or-later
"""What this process keeps in memory of the runs it was asked for, so that the next job is quick.

Loading a field takes longer than a picture of it. The ones used last are kept, a few and only while
there is memory for another, and each only as long as its checkpoint is the run's last one.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..protocol.errors import JobError
from ..training.checkpoint import last_checkpoint
from .run_folder import RunFolder

MOST_KEPT = 3
MEMORY_FACTOR = 2.0
"""A field needs its checkpoint's size while it is built, and again while it is read."""


@dataclass(frozen=True)
class ResidentKey:
    """Which learned state: a run that is trained on has another checkpoint, and so has one that was
    deleted and learned again, whose name may be the same.
    """

    run: str
    checkpoint: str
    changed_ns: int
    device: str


@dataclass
class ResidentMethods:
    """Learned things by key, the one used last at the end."""

    most: int = MOST_KEPT
    kept: dict[ResidentKey, Any] = field(default_factory=dict)

    def get(self, run: RunFolder, device: torch.device, load: Callable[[], Any]) -> Any:
        """What `load` gives for the run's last checkpoint, kept since the last time if possible.

        Raises:
            JobError: as `load` does.
        """
        key = key_of(run, device)
        if key in self.kept:
            self.kept[key] = self.kept.pop(key)
            return self.kept[key]
        self._make_room(key, _checkpoint_bytes(run, key.checkpoint), device)
        while True:
            try:
                learned = load()
                break
            except JobError:
                # Another process trains this run and has just replaced the checkpoint.
                now = key_of(run, device)
                if now == key:
                    raise
                key = now
            except (MemoryError, torch.OutOfMemoryError):
                if not self.kept:
                    raise
                self.release()
        self.keep(key, learned)
        return learned

    def keep(self, key: ResidentKey, learned: Any) -> None:
        """Takes up what was just learned or loaded, in place of older states of its run."""
        self._forget_older(key)
        self.kept[key] = learned
        while len(self.kept) > self.most:
            self._drop_oldest()

    def release(self) -> int:
        """Frees all of it; returns how many there were."""
        count = len(self.kept)
        self.kept.clear()
        # Compiled modules hold themselves in circles, which only the collector opens.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return count

    def _make_room(self, key: ResidentKey, size: int, device: torch.device) -> None:
        self._forget_older(key)
        while len(self.kept) >= self.most:
            self._drop_oldest()
        while self.kept and (free := free_bytes(device)) is not None:
            if free >= MEMORY_FACTOR * size:
                break
            self._drop_oldest()

    def _forget_older(self, key: ResidentKey) -> None:
        for other in [one for one in self.kept if (one.run, one.device) == (key.run, key.device)]:
            del self.kept[other]

    def _drop_oldest(self) -> None:
        del self.kept[next(iter(self.kept))]
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def key_of(run: RunFolder, device: torch.device) -> ResidentKey:
    """The key of a run's last checkpoint."""
    name = last_checkpoint(run.checkpoints)
    try:
        changed = _state_file(run, name).stat().st_mtime_ns
    except OSError:  # loading it will say what is wrong
        changed = 0
    return ResidentKey(str(run.path.resolve()), name, changed, str(device))


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free for another field; None where this system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(sizes[0]) if sizes else None


def _state_file(run: RunFolder, checkpoint: str) -> Path:
    return run.checkpoints / checkpoint / "state.safetensors"


def _checkpoint_bytes(run: RunFolder, checkpoint: str) -> int:
    try:
        return _state_file(run, checkpoint).stat().st_size
    except OSError:
        return 0
