# SPDX-License-Identifier: GPL-3.0-or-later
import json
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from typing import get_type_hints

import pytest

from neural_backend.protocol import lines
from neural_backend.protocol.errors import JobError, ProtocolError
from neural_backend.protocol.lines import MESSAGES, from_line, to_line
from neural_backend.protocol.messages import (
    VERSION,
    Cancel,
    ExtractMesh,
    Progress,
    Train,
    ViewsReady,
)

EXAMPLES = {
    str: 'straße/„Küche“ 1\n"x"',
    int: 7,
    float: 0.1,
    bool: True,
    tuple[str, ...]: ("a", "b c"),
    tuple[int, ...]: (1, -2),
    tuple[float, ...]: (0.5, 2.0),
    float | None: 3.5,
}


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=list(MESSAGES))
def test_every_message_survives_a_line(kind):
    hints = get_type_hints(kind)
    full = kind(**{field.name: EXAMPLES[hints[field.name]] for field in fields(kind)})
    line = to_line(full)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert json.loads(line)["version"] == VERSION
    assert from_line(line) == full
    required = [field.name for field in fields(kind) if field.default is MISSING]
    least = kind(**{name: EXAMPLES[hints[name]] for name in required})
    assert from_line(to_line(least)) == least


def line_of(kind: str = "train", **values) -> str:
    return json.dumps({"version": VERSION, "type": kind, "job_id": "7", **values})


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "expected a JSON object"),
        ("{", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON object"),
        ('"text"', "expected a JSON object"),
        ('{"type": "train"}', "version None"),
        (json.dumps({"version": VERSION, "type": "sing"}), "unknown message type 'sing'"),
        (json.dumps({"version": VERSION, "type": ["train"]}), "unknown message type"),
        (line_of(capture="a"), "train lacks the field 'run'"),
        (line_of(capture="a", run="b", color="red"), "train has no field 'color'; it has"),
        (line_of(capture=1, run="b"), "capture must be str, got '1'"),
        (line_of(capture="a", run="b", steps=1.5), "steps must be int"),
        (line_of(capture="a", run="b", steps=True), "steps must be int"),
        (line_of(capture="a", run="b", seconds="3"), "seconds must be float"),
        (line_of(capture="a", run="b", seconds=False), "seconds must be float"),
        (line_of(capture="a", run="b", resume=1), "resume must be bool"),
        (line_of(capture="a", run="b", settings="x=1"), "settings must be"),
        (line_of(capture="a", run="b", settings=["x=1", 2]), r"settings\[1\] must be str"),
        (line_of("progress", stage="s", done=1, total=2, loss="low"), "loss must be"),
        (line_of("cancel", job_id=3), "job_id must be str"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(line, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        from_line(line)


def test_another_version_is_named_beside_our_own():
    line = json.dumps({"version": VERSION + 1, "type": "cancel", "job_id": "job 5", "new": 1})
    with pytest.raises(
        ProtocolError, match=rf"version {VERSION + 1}, .* version {VERSION}"
    ) as told:
        from_line(line)
    assert told.value.job_id == "job 5"


def test_a_refused_line_tells_which_job_it_was():
    with pytest.raises(ProtocolError) as told:
        from_line(line_of(capture="a"))
    assert told.value.job_id == "7"


def test_whole_numbers_serve_as_floats_and_lists_as_tuples():
    job = from_line(line_of(capture="a", run="b", seconds=3, settings=["x=1"]))
    assert job == Train(job_id="7", capture="a", run="b", seconds=3.0, settings=("x=1",))
    assert isinstance(job.seconds, float)
    assert from_line(line_of("extract_mesh", run="b", crop_min=[0, 1, 2.5])) == ExtractMesh(
        job_id="7", run="b", crop_min=(0.0, 1.0, 2.5)
    )


def test_a_sender_is_held_to_the_types_too():
    progress = Progress(job_id="7", stage="training", done=1.0, total=2.0)
    with pytest.raises(ProtocolError, match="done must be float"):
        to_line(replace(progress, done="1"))
    with pytest.raises(ProtocolError, match="job_id must be str"):
        to_line(Cancel(job_id=7))


def test_lines_have_a_greatest_length(monkeypatch):
    views = ViewsReady(job_id="7", output="o", files=("x" * 50,) * 20, frames=(1,) * 20)
    line = to_line(views)
    monkeypatch.setattr(lines, "MAX_LINE_CHARACTERS", len(line) - 1)
    with pytest.raises(ProtocolError, match=f"{len(line)} characters long; the limit is"):
        to_line(views)
    with pytest.raises(ProtocolError, match=f"{len(line)} characters long; the limit is"):
        from_line(line)


def test_a_job_error_reads_as_what_is_wrong_and_what_to_do():
    error = JobError("The disk is full.", "Free some space.")
    assert str(error) == "The disk is full. Free some space."
    assert str(JobError("The disk is full.")) == "The disk is full."


def test_the_protocol_needs_the_standard_library_alone():
    check = (
        "import sys\n"
        "import neural_backend.protocol.lines\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(names - sys.stdlib_module_names - {'__main__', 'neural_backend'}))\n"
    )
    # -S: site-packages may bring modules of its own into every process.
    root = lines.__file__.rpartition("neural_backend")[0]
    check = f"import sys; sys.path.insert(0, {root!r})\n{check}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", check], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_importing_the_package_brings_nothing_heavy_and_the_rest_comes_when_asked_for():
    check = (
        "import sys, neural_backend\n"
        "print(sorted({'torch', 'numpy', 'numba', 'tyro'} & set(sys.modules)))\n"
        "assert 'train' in dir(neural_backend)\n"
        "print(neural_backend.JobError.__name__)\n"
        "try:\n    neural_backend.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[]",
        "JobError",
        "module 'neural_backend' has no attribute 'nothing'",
    ]
