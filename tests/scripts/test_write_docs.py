# SPDX-License-Identifier: GPL-3.0-or-later
import re
from pathlib import Path

import pytest

from scripts import write_docs

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", write_docs.pages(), ids=lambda page: page.name)
def test_the_generated_tables_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == write_docs.current(text), "run scripts/write_docs.py"


def test_every_generated_table_stands_in_some_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in write_docs.pages())
    assert {name for _, name in re.findall(r"(generated): (\w+)", text)} == set(
        write_docs.GENERATED
    )


def test_a_changed_table_is_noticed() -> None:
    text = "before\n<!-- generated: commands -->\nold\n<!-- end -->\nafter\n"
    new = write_docs.current(text)
    assert "old" not in new
    assert "### `cancel`" in new
    assert new.startswith("before\n")
    assert new.endswith("<!-- end -->\nafter\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_documentation_links_to_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    for link in links:
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_the_project_that_the_documentation_names_exist(page: Path) -> None:
    """Whatever stands in backquotes and begins with one of the project's folders."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:scripts|addon|neural_backend|tests|docs)/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name
