# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from neural_backend.kernels.compilation import cache_folder, num_threads

SOURCE = """
    import sys
    sys.path.insert(0, {root!r})
    from neural_backend.kernels.compilation import jit, kernels_are_cached
    from callee import FACTOR, double
    from words import plus
    @jit
    def kernel(x):
        return plus(FACTOR * double(x))
    print(kernels_are_cached(), kernel(3.0), kernels_are_cached())
"""
CALLEE = """
    from neural_backend.kernels.compilation import jit
    FACTOR = {factor}
    @jit
    def double(x):
        return {times} * x
"""
WORDS = """
    from numba.extending import intrinsic
    @intrinsic
    def plus(context, number):
        def generate(context, builder, signature, arguments):
            return builder.fadd(arguments[0], arguments[0].type({more}))
        return number(number), generate
"""


def outcome(
    folder: Path, cache: Path, factor: int = 1, times: int = 2, more: float = 0.0
) -> list[str]:
    """What a fresh process that defines and calls a kernel prints."""
    root = str(Path(__file__).resolve().parents[3])
    (folder / "main.py").write_text(textwrap.dedent(SOURCE.format(root=root)), encoding="utf-8")
    callee = textwrap.dedent(CALLEE.format(factor=factor, times=times))
    (folder / "callee.py").write_text(callee, encoding="utf-8")
    words = textwrap.dedent(WORDS.format(more=more))
    (folder / "words.py").write_text(words, encoding="utf-8")
    environment = {"NEURAL_FIELDS_CACHE": str(cache), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(folder / "main.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stdout.split()


def test_machine_code_is_kept_in_the_cache_folder_and_nowhere_else(tmp_path):
    program, cache = tmp_path / "program", tmp_path / "kept here"
    program.mkdir()
    assert outcome(program, cache) == ["False", "6.0", "True"]
    assert list(cache.rglob("*.nbi"))
    assert sorted(file.name for file in program.iterdir()) == ["callee.py", "main.py", "words.py"]
    assert outcome(program, cache) == ["True", "6.0", "True"]


def test_a_changed_callee_constant_or_intrinsic_of_another_file_is_compiled_anew(tmp_path):
    program, cache = tmp_path / "program", tmp_path / "cache"
    program.mkdir()
    assert outcome(program, cache)[1] == "6.0"
    assert outcome(program, cache, times=5)[1] == "15.0"
    assert outcome(program, cache, factor=7, times=5)[1] == "105.0"
    assert outcome(program, cache, factor=7, times=5, more=2.0)[1] == "107.0"


def test_a_cache_folder_that_cannot_be_made_does_not_stop_the_kernels(tmp_path):
    program, blocked = tmp_path / "program", tmp_path / "a file"
    program.mkdir()
    blocked.write_text("in the way", encoding="utf-8")
    assert outcome(program, blocked)[1] == "6.0"


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("NEURAL_FIELDS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("NEURAL_FIELDS_CACHE")
    assert cache_folder().name == "neural_fields"
    assert Path(__file__).resolve().parents[3] not in cache_folder().parents


@pytest.mark.parametrize(("chosen", "threads"), [("3", 3), ("0", 1)])
def test_the_number_of_threads_can_be_chosen(monkeypatch, chosen, threads):
    monkeypatch.setenv("NEURAL_FIELDS_THREADS", chosen)
    assert num_threads() == threads
