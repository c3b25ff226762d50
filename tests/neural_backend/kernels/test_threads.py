# SPDX-License-Identifier: GPL-3.0-or-later
import threading

import pytest

from neural_backend.kernels.threads import for_each, spans


@pytest.mark.parametrize("count", [0, 1, 2, 37])
def test_every_task_runs_once(count):
    done = []
    for_each(done.append, count)
    assert sorted(done) == list(range(count))


def test_an_error_in_a_task_reaches_the_caller():
    def task(index: int) -> None:
        if index == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        for_each(task, 20)
    for_each(lambda index: None, 20)  # and the threads still work


def test_tasks_may_be_started_from_several_threads_at_once():
    totals = [0, 0, 0]

    def start(place: int) -> None:
        done = []
        for_each(done.append, 50)
        totals[place] = sum(done)

    starters = [threading.Thread(target=start, args=(place,)) for place in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert totals == [1225] * 3


@pytest.mark.parametrize(
    ("count", "pieces"), [(0, []), (3, [(0, 3)]), (4, [(0, 4)]), (9, [(0, 4), (4, 8), (8, 9)])]
)
def test_spans_cover_everything_without_overlap(count, pieces):
    assert spans(count, 4) == pieces
