# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns fields from pictures: meshes and new views of what was photographed or rendered."""

import signal
import sys
from dataclasses import MISSING, field, fields, make_dataclass
from types import FrameType
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from . import __version__
from .progress_display import ProgressDisplay, sentence
from .protocol.messages import (
    FINAL_EVENTS,
    JOBS,
    Event,
    FitShape,
    Job,
    JobFailed,
    Progress,
    Train,
)

DONE, FAILED, MISUSED, CANCELLED = 0, 1, 2, 130
"""Exit statuses; the last is that of a shell's Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one job. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        sys.stdout.write(f"neural-fields {__version__}\n")
        return DONE
    try:
        job = parse(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else MISUSED
    interruption = Interruption(job)
    signal.signal(signal.SIGINT, interruption.on_signal)
    try:
        return run(job, interruption)
    except KeyboardInterrupt:
        return _say_cancelled(job)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def parse(arguments: list[str]) -> Job:
    """The job that a command line asks for. Raises SystemExit with 0 for help, 2 for misuse."""
    commands = {_command(job_type): _options(job_type) for job_type in JOBS}
    chosen = tyro.extras.subcommand_cli_from_dict(
        {name: options for name, (options, _) in commands.items()},
        prog="neural-fields",
        description=f"{__doc__} Version {__version__}.",
        args=arguments,
    )
    job_type = next(kind for options, kind in commands.values() if isinstance(chosen, options))
    return job_type(job_id="cli", **{one.name: getattr(chosen, one.name) for one in fields(chosen)})


class Interruption:
    """What Ctrl-C does: a training ends after its step and saves, anything else ends at once."""

    def __init__(self, job: Job) -> None:
        self.asked = False
        self.learning = False
        self._job = job

    def note(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.learning = isinstance(self._job, (Train, FitShape)) and event.stage == "training"

    def on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        """The second Ctrl-C does not wait."""
        if self.asked or not self.learning:
            raise KeyboardInterrupt
        self.asked = True


def run(job: Job, interruption: Interruption) -> int:
    """Does the job with a progress bar. Returns the exit status."""
    from .jobs import run as run_job  # imports torch, so not before it is needed
    from .kernels import process_group

    process_group.join()
    events = run_job(job)
    with ProgressDisplay(quiet=process_group.rank() > 0) as display:
        for event in events:
            interruption.note(event)
            display.show(event)
            if interruption.asked and not isinstance(event, FINAL_EVENTS):
                display.say("Saving what was learned…")
                events.close()
                return _say_cancelled(job)
    if isinstance(event, JobFailed):
        sys.stderr.write(f"neural-fields: {event.message} {event.remedy}".rstrip() + "\n")
        return FAILED
    if process_group.rank() == 0:
        sys.stdout.write(sentence(event) + "\n")
    return DONE


def _say_cancelled(job: Job) -> int:
    sys.stderr.write("neural-fields: stopped.\n")
    if isinstance(job, (Train, FitShape)):
        paths = (job.capture, job.run) if isinstance(job, Train) else (job.run, *job.meshes)
        command = " ".join(["neural-fields", _command(type(job)), *map(_quoted, paths), "--resume"])
        sys.stderr.write(f"Go on where it stopped with: {command}\n")
    return CANCELLED


def _quoted(path: str) -> str:
    from shlex import quote

    return quote(path)


def _command(job_type: type[Job]) -> str:
    return job_type.type.replace("_", "-")


def _options(job_type: type[Job]) -> tuple[type, type[Job]]:
    """A class for tyro: the job's fields without `job_id`, positional without a default."""
    hints = get_type_hints(job_type, include_extras=True)
    described: list[tuple[str, Any, Any]] = []
    for one in fields(job_type):
        if one.name == "job_id":
            continue
        kind, text = get_args(hints[one.name])[:2]
        marks: tuple[Any, ...] = (tyro.conf.arg(help=text),)
        if one.default is MISSING:
            named = tyro.conf.arg(help=text, metavar=one.name.upper())
            marks = (named, tyro.conf.Positional)
        described.append((one.name, Annotated[(kind, *marks)], field(default=one.default)))
    options = make_dataclass(job_type.__name__, described, frozen=True)
    # Events are of no interest to somebody who reads the help.
    options.__doc__ = (job_type.__doc__ or "").partition(" Answered by")[0]
    return options, job_type
