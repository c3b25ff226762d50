# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests and pictures that the documentation names are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PICTURE = re.compile(r"!\[[^]]*\]\(([^)#]+)\)")
LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^):#]+\.md)\)")


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_every_test_picture_and_page_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for file, name in NAMED_TEST.findall(text):
        assert (ROOT / file).is_file(), file
        assert name in functions(ROOT / file), f"{file}::{name}"
    for place in [*PICTURE.findall(text), *LINK.findall(text)]:
        assert (path.parent / place).is_file(), place


def test_each_promise_names_a_test() -> None:
    text = (ROOT / "docs" / "PROMISES.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 14))
    assert all(NAMED_TEST.search(row) for row in rows)


def test_each_difference_between_blenders_names_a_test() -> None:
    text = (ROOT / "docs" / "BLENDER_VERSIONS.md").read_text(encoding="utf-8")
    table = text.split("## Differences")[1].split("\n\n")[2].splitlines()[2:]
    assert len(table) > 5
    assert all(NAMED_TEST.search(row) for row in table), table
