# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README shows is what works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from neural_backend import cli
from neural_backend.methods.registry import METHODS
from neural_backend.methods.shape_registry import SHAPE_METHODS
from tests.tiny_capture import write_tiny_capture

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(heading: str) -> str:
    """The code under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(r"```\w*\n(.*?)```", section, re.DOTALL)[1]


def test_the_readme_opens_with_the_demos_picture_and_the_two_commands() -> None:
    start = README[:1500]
    picture = re.match(r"!\[[^]]*\]\(([^)]+)\)", start)
    assert picture
    assert (ROOT / picture[1]).is_file()
    for command in ("python3 scripts/demo.py", "python3 scripts/test.py"):
        assert command in start


@pytest.mark.timeout(300)
def test_the_python_interface_works_as_it_is_shown(tmp_path: Path) -> None:
    """In under ten lines; with less time and smaller grids, so that it ends soon."""
    program = blocks("In Python")
    assert len([line for line in program.splitlines() if line.strip()]) < 10
    quick = program.replace("seconds=60", "steps=40").replace("resolution=256", "resolution=48")
    assert quick.count("steps=40") == quick.count("resolution=48") == 1
    write_tiny_capture(tmp_path / "captures" / "lego", num_views=16, size=32)
    done = subprocess.run(
        [sys.executable, "-c", quick],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 18
    assert (tmp_path / "lego.ply").stat().st_size > 1000
    assert len(list((tmp_path / "views").glob("*.png"))) == 2


@pytest.mark.parametrize("line", blocks("On the command line").splitlines())
def test_the_command_lines_are_understood(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "neural-fields"
    job = cli.parse(arguments)
    assert job.type.replace("_", "-") == arguments[0]


def test_the_operators_and_their_options_exist() -> None:
    """By their source: `addon/` cannot be imported without Blender."""
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "addon").rglob("*.py"))
    for name, options in re.findall(r"bpy\.ops\.neural_fields\.(\w+)\(([^)]*)\)", README):
        assert f'"neural_fields.{name}"' in source
        for option in re.findall(r"(\w+)=", options):
            assert re.search(rf"^    {option}: ", source, re.MULTILINE), option


def test_it_names_every_method_there_is() -> None:
    places = {**METHODS, **SHAPE_METHODS}
    # Other tests add methods of their own.
    methods = [name for name, place in places.items() if place.startswith(".")]
    missing = [name for name in methods if f"`{name}`" not in README]
    assert not missing
