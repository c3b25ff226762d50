# SPDX-License-Identifier: GPL-3.0-or-later
"""The tour's stopwatch, told of calls and returns as Python's monitoring tells of them."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from scripts.tour.inside_timing import Stopwatch

ADD_ON = """
import time

def outer(seconds):
    time.sleep(seconds)
    inner()
    return 1

def inner():
    time.sleep(0.001)

def renders():
    time.sleep(0.02)
    begin_render()

def begin_render():
    time.sleep(0.03)

def fails():
    inner()
    raise KeyError

def steps():
    yield 1
    time.sleep(0.02)
    yield 2
"""


@pytest.fixture
def add_on(tmp_path: Path) -> dict[str, Any]:
    """The functions of a module that lies in the folder `my_add_on`."""
    path = tmp_path / "my_add_on" / "module.py"
    path.parent.mkdir()
    path.write_text(ADD_ON, encoding="utf-8")
    import importlib.util

    spec = importlib.util.spec_from_file_location("timed_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def timing(stopwatch: Stopwatch) -> Iterator[None]:
    """Older Pythons have no monitoring, so a profile function passes the same events on."""

    def tell(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            stopwatch._begin(frame.f_code)
        elif event == "return":
            stopwatch._end(frame.f_code)

    before = sys.getprofile()
    threading.setprofile(tell)
    sys.setprofile(tell)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]


def test_the_outermost_call_is_timed_with_all_that_it_calls(add_on: dict[str, Any]) -> None:
    stopwatch = Stopwatch("/my_add_on/")
    with timing(stopwatch):
        add_on["outer"](0.01)
        time.sleep(0.03)  # not the add-on's
        add_on["outer"](0.02)
        add_on["inner"]()
    taken = stopwatch.take()
    assert set(taken) == {"outer", "inner"}
    assert len(taken["outer"]) == 2
    took, busy = taken["outer"][0]
    assert took >= 0.02
    assert busy < took, "a call that sleeps keeps no processor busy"
    assert taken["outer"] == sorted(taken["outer"], reverse=True)
    assert stopwatch.take() == {}


def test_what_raises_ends_too_and_a_generator_is_timed_by_the_step(
    add_on: dict[str, Any],
) -> None:
    stopwatch = Stopwatch("/my_add_on/")
    with timing(stopwatch):
        with pytest.raises(KeyError):
            add_on["fails"]()
        going = add_on["steps"]()
        next(going)
        time.sleep(0.05)
        next(going)
    taken = stopwatch.take()
    assert set(taken) == {"fails", "steps"}
    assert len(taken["steps"]) == 2
    assert taken["steps"][0][0] >= 0.02


def test_what_blender_does_for_a_call_is_timed_apart_and_taken_off(
    add_on: dict[str, Any],
) -> None:
    stopwatch = Stopwatch("/my_add_on/", apart="begin_render")
    began = time.perf_counter()
    with timing(stopwatch):
        add_on["renders"]()
    whole = time.perf_counter() - began
    taken = stopwatch.take()
    assert taken["renders"][0][0] >= 0.02
    assert taken["begin_render"][0][0] >= 0.03
    assert taken["renders"][0][0] + taken["begin_render"][0][0] <= whole


def test_what_a_thread_does_holds_no_window_up(add_on: dict[str, Any]) -> None:
    stopwatch = Stopwatch("/my_add_on/")
    with timing(stopwatch):
        thread = threading.Thread(target=add_on["outer"], args=(0.001,))
        thread.start()
        thread.join()
    assert stopwatch.take() == {}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python tells of calls from 3.12 on")
def test_python_itself_tells_of_calls(add_on: dict[str, Any]) -> None:
    stopwatch = Stopwatch("/my_add_on/")
    stopwatch.start()
    try:
        add_on["outer"](0.001)
        with pytest.raises(KeyError):
            add_on["fails"]()
        list(add_on["steps"]())
    finally:
        stopwatch.stop()
    taken = stopwatch.take()
    assert {name: len(times) for name, times in taken.items()} == {
        "outer": 1, "fails": 1, "steps": 3,
    }  # fmt: skip
