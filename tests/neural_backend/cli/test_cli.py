# SPDX-License-Identifier: GPL-3.0-or-later
import inspect
import json
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args, get_origin

import pytest

import neural_backend
from neural_backend import cli
from neural_backend.methods import registry
from neural_backend.progress_display import ProgressDisplay, sentence
from neural_backend.protocol import messages
from neural_backend.protocol.messages import JOBS, Progress, Train
from tests import tiny_method
from tests.tiny_capture import write_tiny_capture

TINY_CLI = Path(__file__).parent / "tiny_cli.py"


@pytest.fixture
def capture(tmp_path) -> Path:
    return write_tiny_capture(tmp_path / "my capture")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    tiny_method.register()


def started(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(TINY_CLI), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt_when(process: subprocess.Popen, words: str, file: Path) -> tuple[int, str]:
    """Presses Ctrl-C once the log has a line with `words` and there is `file`.

    Returns the exit status and what the log says after that.
    """
    for line in process.stderr:
        if words in line:
            break
    else:
        pytest.fail(f"the log never said {words!r}")
    while not file.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    return process.returncode, log


@pytest.mark.parametrize("job_type", JOBS, ids=lambda kind: kind.type)
def test_every_job_is_a_command_whose_arguments_are_its_fields(job_type):
    required = [one for one in fields(job_type) if one.default is MISSING]
    expected: dict = {}
    arguments = []
    for one in required:
        kind = one.type.__origin__
        is_tuple = get_origin(kind) is tuple
        word = {int: "7", float: "2.5"}.get(get_args(kind)[0] if is_tuple else kind)
        arguments.append(word or f"value of {one.name}")
        value = arguments[-1] if word is None else float(word) if "." in word else int(word)
        expected[one.name] = (value,) if is_tuple else value
    job = cli.parse([job_type.type.replace("_", "-"), *arguments])
    assert job == job_type(job_id="cli", **expected)


def test_options_of_each_type_are_understood():
    job = cli.parse(
        shlex.split(
            "train in out --seconds 2.5 --steps 7 --resume --settings a=1 'b=x y' --method nerf"
        )
    )
    assert job == Train(
        job_id="cli",
        capture="in",
        run="out",
        seconds=2.5,
        steps=7,
        resume=True,
        settings=("a=1", "b=x y"),
        method="nerf",
    )
    mesh = cli.parse(shlex.split("extract-mesh run --crop-min 0 0 -1.5 --no-colors"))
    assert mesh.crop_min == (0.0, 0.0, -1.5)
    assert mesh.colors is False


@pytest.mark.parametrize("job_type", JOBS, ids=lambda kind: kind.type)
def test_help_shows_the_texts_of_the_messages(job_type, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert cli.main([job_type.type.replace("_", "-"), "--help"]) == 0
    shown = capsys.readouterr().out
    for one in fields(job_type):
        if one.name != "job_id":
            assert one.type.__metadata__[0] in shown
    assert "job-id" not in shown


def test_help_and_version_come_without_torch():
    check = (
        "import sys, neural_backend.cli as cli\n"
        "status = [cli.main([]), cli.main(['--help']), cli.main(['--version'])]\n"
        "print(status, 'torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[2, 0, 0] False False"
    assert lines[-2] == f"neural-fields {neural_backend.__version__}"
    assert "extract-mesh" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["fly"], ["train", "only-a-capture"], ["train", "a", "b", "--steps", "many"]]
)
def test_misuse_is_2(arguments, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err


def test_a_job_that_fails_is_1_and_says_why_in_one_line(tmp_path, capsys):
    assert cli.main(["inspect", str(tmp_path / "nowhere")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("neural-fields: ")
    assert "nowhere" in lines[-1]


def test_a_training_is_reported_line_by_line_where_there_is_no_terminal(
    tiny, capture, tmp_path, capsys
):
    run = tmp_path / "run"
    assert cli.main(["train", str(capture), str(run), "--method", "tiny", "--steps", "5"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Trained tiny (5 steps, ")
    assert "reading pictures  7/7 pictures" in said.err
    assert "training  5/5 steps" in said.err
    assert cli.main(["inspect", str(run)]) == 0
    assert "state: trained" in capsys.readouterr().out


def test_ctrl_c_saves_the_training_and_says_how_to_go_on(capture, tmp_path):
    settings = ["--settings", "steps=1000000", "step_seconds=0.01", "--checkpoint-seconds", "0.05"]
    checkpoint = tmp_path / "run" / "checkpoints" / "last.json"
    process = started("train", capture, tmp_path / "run", "--method", "tiny", *settings)
    status, log = interrupt_when(process, "training", checkpoint)
    assert status == 130
    command = log.partition("with: ")[2].strip()
    assert shlex.split(command)[:2] == ["neural-fields", "train"]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["state"] == "cancelled"
    assert record["steps"] > 0
    steps = ["--steps", record["steps"] + 3]
    again = started(*shlex.split(command)[1:], *steps)
    said, log = again.communicate(timeout=60)
    assert again.returncode == 0, log
    assert f"Trained tiny ({record['steps'] + 3} steps" in said


def test_ctrl_c_outside_the_steps_ends_at_once(capture, tmp_path):
    settings = ["--settings", "prepare_seconds=3600"]
    process = started("train", capture, tmp_path / "run", "--method", "tiny", *settings)
    status, log = interrupt_when(process, "preparing", tmp_path / "run")
    assert status == 130
    assert "stopped" in log
    assert "Traceback" not in log


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "neural_backend", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(neural_backend.__file__).parents[1],
    )
    assert done.stdout == f"neural-fields {neural_backend.__version__}\n"


def test_bars_show_each_stage_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    event = Progress(
        job_id="1", stage="training", done=30.0, total=60.0, eta_s=75.0, loss=0.01, psnr=27.5
    )
    with ProgressDisplay() as display:
        display.show(Progress(job_id="1", stage="reading pictures", done=0, total=0, unit=""))
        display.show(event)
        display.say("a [note] in between")
    shown = capsys.readouterr().err
    for words in ("reading pictures", "training", "30/60 steps", "1 min 15 s left", "27.50 dB"):
        assert words in shown
    assert "a [note] in between" in shown


def test_every_answer_has_a_sentence():
    values = {str: "x", int: 1, float: 0.5}
    values |= {tuple[kind, ...]: (value,) for kind, value in values.items()}
    for kind in messages.FINAL_EVENTS:
        hints = {one.name: one.type for one in fields(kind) if one.default is MISSING}
        assert sentence(kind(**{name: values[hint] for name, hint in hints.items()}))


ON_FILES_ALONE = {
    "inspect", "convert", "check_capture", "select_views", "solve_cameras", "extract_frames",
    "render_frame",
}  # fmt: skip
"""Jobs that are commands only: in Python a capture is read and changed by hand, and a field renders
rays."""


@pytest.mark.parametrize(
    "job_type", [one for one in JOBS if one.type not in ON_FILES_ALONE], ids=lambda kind: kind.type
)
def test_the_python_functions_take_what_the_messages_hold(job_type):
    """One place to edit is enough of a promise only if this fails when the other is forgotten."""
    parameters = inspect.signature(getattr(neural_backend, job_type.type)).parameters
    given = {name: one.default for name, one in parameters.items() if name != "on_event"}
    expected = {
        one.name: inspect.Parameter.empty if one.default is MISSING else one.default
        for one in fields(job_type)
        if one.name != "job_id"
    }
    assert given == expected


def test_the_version_is_the_same_everywhere():
    root = Path(neural_backend.__file__).parents[1]
    line = f'version = "{neural_backend.__version__}"'
    assert line in (root / "pyproject.toml").read_text()
    assert line in (root / "blender_manifest.toml").read_text()
