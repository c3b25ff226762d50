# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the worker's Python step by step, in a thread of its own, as a plan says.

It can be stopped within a second and taken up again: downloads are kept until all is done, finished
steps are remembered, and an environment that was left torn is made anew.
"""

import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from .base_python import pip_wheel, usable_bases
from .checks import NEEDED_MODULES, Probe, probe_command, read_probe
from .child import Child
from .environment import check_python, child_variables
from .install_plan import Plan, Step, check_disk
from .install_state import InstallState, lock, read_state, write_state
from .pip_output import PipReader, Problem, problem_of
from .protocol import JobError, messages

LOG = "install.log"
TRIES = 3
"""How often a download that breaks off is taken up again before the user is asked."""
PAUSE_S = 2.0
REMOVAL_S = 10.0
INSTALLING_SHARE = 0.2
"""Of a step's time, what unpacking takes once all is downloaded."""
RAW_PROGRESS_SINCE = (24, 1)

Outcome = Literal["running", "done", "cancelled", "failed"]


@dataclass(frozen=True)
class InstallProgress:
    """How far an installation is: step `step` of `num_steps`, and `share` of the whole."""

    step: int
    num_steps: int
    label: str
    file: str = ""
    done_mb: float = 0.0
    total_mb: float = 0.0
    """Of the file that is being downloaded; 0 where that is not known."""
    share: float = 0.0
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """For the bar: `Installing torch (CPU) · torch-2.13.0 · 45 of 192 MB`."""
        parts = [self.label, *([self.file] if self.file else [])]
        if self.total_mb >= 1:
            parts.append(f"{self.done_mb:.0f} of {self.total_mb:.0f} MB")
        return " · ".join(parts)

    def as_message(self) -> messages.Progress:
        """For the progress bar in a terminal."""
        return messages.Progress(
            job_id="",
            stage=self.text,
            done=round(100 * self.share),
            total=100,
            unit="%",
            seconds=self.seconds,
        )


class _CancelledError(Exception):
    """Ends the thread."""


class _FailedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Installation:
    """One installation. Start it, look at `progress` and `outcome` now and then; nothing blocks.

    `own_python` is the interpreter of this process, the last resort for making the environment.
    """

    def __init__(
        self, plan: Plan, own_python: Path, variables: Mapping[str, str] = os.environ
    ) -> None:
        self.plan = plan
        self.outcome: Outcome = "running"
        self.problem: Problem | None = None
        self.probe: Probe | None = None
        """What the finished environment said of itself."""
        self.progress = InstallProgress(0, len(plan.steps), "Starting")
        self._own_python = own_python
        self._variables = variables
        self._cancelled = threading.Event()
        self._child: Child | None = None
        self._child_lock = threading.Lock()
        self._started = time.monotonic()
        self._state = InstallState()
        self._thread = threading.Thread(target=self._run, name="installation", daemon=True)

    @property
    def log(self) -> Path:
        return self.plan.folder / LOG

    def start(self) -> "Installation":
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Stops at once; what was downloaded is kept."""
        self._cancelled.set()
        with self._child_lock:
            if self._child is not None:
                self._child.kill()

    def wait(self, timeout_s: float | None = None) -> Outcome:
        """Blocks until the end, or for a while."""
        self._thread.join(timeout_s)
        return self.outcome

    def _run(self) -> None:
        outcome: Outcome = "failed"
        try:
            self._install()
            outcome = "done"
        except _CancelledError:
            outcome = "cancelled"
        except _FailedError as failure:
            self.problem = failure.problem
        except JobError as error:
            self.problem = Problem(error.message, error.remedy)
        except OSError as error:
            self.problem = problem_of([str(error)], 1, str(self.log))
        except Exception as error:
            self.problem = Problem(f"The installation failed: {error!r}", f"Its log is {self.log}.")
            raise
        finally:
            self.outcome = outcome

    def _install(self) -> None:
        plan = self.plan
        check_disk(plan)
        plan.folder.mkdir(parents=True, exist_ok=True)
        with lock(plan.folder), self.log.open("a", encoding="utf-8", errors="replace") as log:
            log.write(f"\n== {time.strftime('%Y-%m-%d %H:%M:%S')} {plan.build} ==\n")
            self._state = self._take_up()
            for number, step in enumerate(plan.steps, start=1):
                self._raise_if_cancelled()
                self._begin(number, step)
                if not self._state.has(step) or step.key == "check":
                    # What nothing offered today is asked for again the next time.
                    self._remember(done=step if self._do(step, log) else None)
            self._state.is_complete = True
            self._remember()
        for name in ("cache", "temporary"):
            shutil.rmtree(plan.folder / name, ignore_errors=True)
        self.progress = replace(self.progress, label="Done", file="", total_mb=0.0, share=1.0)

    def _take_up(self) -> InstallState:
        """What the folder holds already; an environment that is torn or of another kind goes."""
        plan, state = self.plan, read_state(self.plan.folder)
        usable = state.build == plan.build and not state.changing and plan.python.is_file()
        if usable and not check_python(plan.python).version:
            usable = False  # the Python that it was made from is gone
        if not usable:
            self._begin(1, replace(plan.steps[0], label="Removing the old environment"))
            self._remove_environment(state)
            state = InstallState(build=plan.build)
        state.is_complete = False
        write_state(plan.folder, state)
        return state

    def _remove_environment(self, state: InstallState) -> None:
        environment = self.plan.environment
        if not environment.exists():
            return
        if not (environment / "pyvenv.cfg").is_file() and not state.build:
            raise JobError(
                f"{environment} exists and is no Python environment.",
                "Move it away, or choose another Environment Folder in the preferences.",
            )
        deadline = time.monotonic() + REMOVAL_S
        while True:
            self._raise_if_cancelled()
            try:
                return shutil.rmtree(environment)
            except OSError:  # on Windows as long as a worker that was told to end still runs there
                if time.monotonic() > deadline:
                    raise
            self._cancelled.wait(PAUSE_S / 4)

    def _do(self, step: Step, log: IO[str]) -> bool:
        """Whether it is done; an optional step may not be."""
        if step.key == "environment":
            self._make_environment(step, log)
        elif step.key == "check":
            self._check(log)
        else:
            return self._install_packages(step, log)
        return True

    def _make_environment(self, step: Step, log: IO[str]) -> None:
        """From the first base Python that manages it."""
        plan = self.plan
        wheel = pip_wheel(plan.wheels_folder)
        problem = Problem("There is no Python to begin with.", "")
        for base in usable_bases(self._own_python, self._variables):
            self._raise_if_cancelled()
            self._change(step)
            self._remove_environment(self._state)
            without = [] if base.has_pip else ["--without-pip"]
            command = [str(base.python), "-I", "-m", "venv", *without, str(plan.environment)]
            reader = PipReader()
            status = self._call(command, reader, log)
            if status == 0 and not base.has_pip:
                assert wheel is not None
                command = [str(plan.python), "-I", f"{wheel}/pip", "install", "--no-index"]
                status = self._call([*command, str(wheel)], reader, log)
            if status == 0:
                return
            problem = problem_of(reader.tail, status, str(self.log))
        raise _FailedError(problem)

    def _install_packages(self, step: Step, log: IO[str]) -> bool:
        """Tries one source after the other; whether one had what an optional step asks for."""
        problem = Problem("There is nothing to install from.", "")
        for attempt in step.attempts:
            found = self._with_patience(step, attempt, log)
            if found is None:
                return True
            problem = found
            if not problem.is_not_offered:
                break
        if step.is_optional and (problem.is_not_offered or problem.is_passing):
            return False
        raise _FailedError(problem)

    def _with_patience(self, step: Step, attempt: tuple[str, ...], log: IO[str]) -> Problem | None:
        """Tries a source again where the network fails; what went wrong last, or None."""
        problem = self._pip(step, attempt, log)
        for _ in range(0 if step.is_optional else TRIES - 1):
            if problem is None or not problem.is_passing:
                break
            self._cancelled.wait(PAUSE_S)
            problem = self._pip(step, attempt, log)
        return problem

    def _pip(self, step: Step, arguments: tuple[str, ...], log: IO[str]) -> Problem | None:
        """One run of pip; what went wrong, or None."""
        plan = self.plan
        reader = PipReader()
        only_wheels = ["--only-binary", ":all:"]  # artists have no compiler
        options = ["--cache-dir", str(plan.folder / "cache"), *only_wheels]
        if plan.wheels_folder:
            options += ["--isolated", "--no-index", "--find-links", plan.wheels_folder]
        if _pip_version(plan.environment) >= RAW_PROGRESS_SINCE:
            options += ["--progress-bar", "raw"]
        command = [str(plan.python), "-I", "-u", "-X", "utf8", "-m", "pip", "install", *options]
        status = self._call([*command, *arguments], reader, log, step)
        if status == 0:
            return None
        if not reader.is_installing:
            self._state.changing = ""
            self._remember()
        return problem_of(reader.tail, status, str(self.log), bool(plan.wheels_folder))

    def _check(self, log: IO[str]) -> None:
        """Imports what was installed: a library that the system lacks shows here and only here."""
        reader = PipReader()
        status = self._call(probe_command(self.plan.python), reader, log)
        probe = self.probe = read_probe(reader.tail, status)
        bad = [
            f"{name} ({probe.problems[name]})"
            for name in NEEDED_MODULES
            if (name in probe.problems)
        ]
        if not (bad or probe.problem):
            return
        # Whatever has happened to the packages, they cannot be relied on.
        self._change(self.plan.steps[-1])
        raise _FailedError(
            Problem(
                probe.problem or f"What was installed does not load: {', '.join(bad)}.",
                f"Press Install to have it made anew. Its log is {self.log}.",
            )
        )

    def _call(
        self, command: list[str], reader: PipReader, log: IO[str], step: Step | None = None
    ) -> int:
        """Runs a program to its end. Raises _CancelledError where it was stopped on the way."""
        log.write(f"$ {' '.join(command)}\n")
        with self._child_lock:
            self._raise_if_cancelled()
            child = self._child = Child(command, self._pip_variables())
        try:
            for line in child.lines():
                reader.take(line)
                if not line.startswith("Progress "):
                    log.write(line + "\n")
                    log.flush()
                if step is not None:
                    if reader.is_installing and self._state.changing != step.key:
                        self._change(step)
                    self._show(step, reader)
        finally:
            child.kill()
            status = child.wait()
            with self._child_lock:
                self._child = None
        self._raise_if_cancelled()
        return status

    def _pip_variables(self) -> dict[str, str]:
        """The user's own settings of pip count (mirrors, certificates), but not where it installs.

        Wheels are unpacked in the folder itself: a system's own temporary folder is often too
        small for torch.
        """
        temporary = self.plan.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        misleading = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR")
        kept = {
            name: value
            for name, value in child_variables(self._variables).items()
            if name not in misleading
        }
        set_here = {
            "PIP_USER": "0",
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        }
        return kept | set_here

    def _raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _CancelledError

    def _change(self, step: Step) -> None:
        """Says on disk that the environment is being changed, before it is."""
        self._state.changing = step.key
        self._remember()

    def _remember(self, done: Step | None = None) -> None:
        if done is not None:
            self._state.done[done.key] = done.fingerprint
            self._state.changing = ""
        write_state(self.plan.folder, self._state)

    def _begin(self, number: int, step: Step) -> None:
        before = sum(earlier.megabytes for earlier in self.plan.steps[: number - 1])
        self.progress = InstallProgress(
            number,
            len(self.plan.steps),
            step.label,
            share=before / self._total_mb,
            seconds=time.monotonic() - self._started,
        )

    def _show(self, step: Step, reader: PipReader) -> None:
        position = self.plan.steps.index(step)
        before = sum(earlier.megabytes for earlier in self.plan.steps[:position])
        share = min(1.0, reader.fetched_mb / step.megabytes) * (1 - INSTALLING_SHARE)
        if reader.is_installing:
            share = 1 - INSTALLING_SHARE / 2
        share = max(self.progress.share, (before + share * step.megabytes) / self._total_mb)
        self.progress = replace(
            self.progress,
            file="unpacking" if reader.is_installing else reader.file,
            done_mb=reader.done_mb,
            total_mb=reader.total_mb,
            share=share,
            seconds=time.monotonic() - self._started,
        )

    @property
    def _total_mb(self) -> float:
        return sum(step.megabytes for step in self.plan.steps)


def _pip_version(environment: Path) -> tuple[int, ...]:
    """Of the pip in an environment, by the name of its folder: to start it takes a second."""
    found = [*environment.glob("[Ll]ib*/python*/site-packages/pip-*.dist-info")]
    found += environment.glob("Lib/site-packages/pip-*.dist-info")
    for folder in found:
        numbers = folder.name.removeprefix("pip-").removesuffix(".dist-info").split(".")
        if all(part.isdigit() for part in numbers[:2]):
            return tuple(map(int, numbers[:2]))
    return ()
