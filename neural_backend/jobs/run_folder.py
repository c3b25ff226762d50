# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one training: what it was asked, what it learned, and what was made of it."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from ..protocol.errors import JobError

RunState = Literal["queued", "training", "trained", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `run.json` says.

    A run has a `capture` or `meshes`; their paths are relative to the run folder where both are on
    one drive. `surfaces` and `settings` are what was changed of the preset's `config`.
    `views_digest` tells one set of training views, or of meshes, from another. `samples` is how
    many points about each mesh were measured. `process` is the number of the process that trained
    last: where it is gone and the state is still "training", it was interrupted.
    """

    state: RunState = "queued"
    method: str = ""
    preset: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    surfaces: bool = False
    settings: tuple[str, ...] = ()
    capture: str = ""
    meshes: tuple[str, ...] = ()
    samples: int = 0
    backend_version: str = ""
    device: str = ""
    seed: int = 0
    image_width: int = 0
    hold_out: int = 8
    views_digest: str = ""
    budget_steps: int = 0
    budget_seconds: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    psnr: float | None = None
    message: str = ""
    process: int = 0


@dataclass(frozen=True)
class RunFolder:
    """Where everything of a run lies; writes are atomic, so that a killed run can be read."""

    path: Path

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """A new run in an empty or absent folder, or in place of one that had learned nothing yet.

        Raises:
            JobError: where the folder holds something, or cannot be written.
        """
        run = cls(Path(path).expanduser().absolute())
        if run.record_file.exists():
            if (run.checkpoints / "last.json").exists():
                raise JobError(
                    f"There is already a training in {run.path}.",
                    "Resume it, or choose another run folder.",
                )
        elif run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise JobError(
                f"{run.path} is not empty and is no run.", "Choose an empty or new folder."
            )
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            run.write_record(RunRecord())
        except OSError as error:
            raise JobError(
                f"The run folder {run.path} cannot be written: {error.strerror}.",
                "Choose a folder that you may write to, on a disk with free space.",
            ) from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The run in an existing folder.

        Raises:
            JobError: where there is none.
        """
        run = cls(Path(path).expanduser().absolute())
        if not run.record_file.is_file():
            raise JobError(
                f"{run.path} is no run folder: it has no run.json.",
                "Choose the folder that a training wrote.",
            )
        return run

    @property
    def record_file(self) -> Path:
        return self.path / "run.json"

    @property
    def capture_file(self) -> Path:
        return self.path / "capture.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def previews(self) -> Path:
        return self.path / "previews"

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def latents_file(self) -> Path:
        return self.path / "latents.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    def read_record(self) -> RunRecord:
        """Raises JobError where `run.json` is damaged."""
        try:
            values = json.loads(self.record_file.read_text(encoding="utf-8"))
            known = {one.name for one in fields(RunRecord)}
            values = {name: value for name, value in values.items() if name in known}
            # JSON knows no tuples.
            tuples = {name: tuple(values.get(name, ())) for name in ("meshes", "settings")}
            return RunRecord(**values | tuples)
        except (ValueError, AttributeError, TypeError) as error:
            raise JobError(
                f"{self.record_file} is damaged: {error}.", "Train again into a new folder."
            ) from error

    def write_record(self, record: RunRecord) -> None:
        write_json(self.record_file, asdict(record))

    def update_record(self, **changes: Any) -> RunRecord:
        """Changes some entries of `run.json`; returns the new record."""
        record = replace(self.read_record(), **changes)
        self.write_record(record)
        return record

    def capture_path(self) -> Path:
        """Where the capture lay when the run was trained."""
        return Path(os.path.normpath(self.path / self.read_record().capture))

    def mesh_paths(self) -> list[Path]:
        """Where the meshes lay that the run learned."""
        meshes = self.read_record().meshes
        return [Path(os.path.normpath(self.path / mesh)) for mesh in meshes]

    def relative(self, path: Path) -> str:
        """`path` as seen from the run folder, or absolute where there is no way (another drive)."""
        try:
            return Path(os.path.relpath(path, self.path)).as_posix()
        except ValueError:
            return str(path)

    def append_metrics(self, values: dict[str, Any]) -> None:
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def keep_metrics_until(self, step: int) -> None:
        """Drops the lines after `step`, which a resumed training will write again."""
        kept = [line for line in self.read_metrics() if line["step"] <= step]
        write_text(self.metrics_file, "".join(json.dumps(line) + "\n" for line in kept))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, without one that a killed process left half-written."""
        if not self.metrics_file.exists():
            return []
        return list(_json_lines(self.metrics_file.read_text(encoding="utf-8").splitlines()))

    def log(self, text: str) -> None:
        """Adds a dated paragraph to `log.txt`."""
        now = datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(f"{now} {text.rstrip()}\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old text or the new, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """`write_text` of readable JSON."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def _json_lines(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue
