"""Functions that call a backend, several at once."""

import threading
import time

import numpy as np
import pytest

from skkeops.backends.cpu import threads
from skkeops.execution.methods.tile_parts import split_nodes


@pytest.fixture(params=[1, 3])
def limit(request, monkeypatch):
    monkeypatch.setattr(threads, "n_threads", lambda: min(request.param, getattr(threads._limit, "threads", None) or 99))
    return request.param


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_stand_in_the_order_of_their_functions(count, limit):
    functions = [lambda k=k: (time.sleep(0.001 * (k % 3)), k)[1] for k in range(count)]
    assert threads.at_once(functions) == list(range(count))


def test_functions_share_the_threads_of_a_call(limit):
    assert set(threads.at_once([threads.n_threads] * 6)) == {1}
    assert threads.at_once([threads.n_threads]) == [limit]


def test_settings_of_the_caller_hold_in_all_of_them(limit):
    with np.errstate(over="raise"):
        assert {found["over"] for found in threads.at_once([np.geterr] * 10)} == {"raise"}


def test_an_exception_is_raised_when_the_others_have_ended(limit):
    running, ended = [], []

    def work(k):
        running.append(k)
        if k == 1:
            raise KeyboardInterrupt
        time.sleep(0.02)
        ended.append(k)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        threads.at_once([lambda k=k: work(k) for k in range(50)])
    assert threading.active_count() == before
    assert sorted(ended) == sorted(set(running) - {1})
    assert len(running) < 10


@pytest.mark.parametrize("n_nodes, most", [(1, 1), (1, 100), (2, 1), (8, 8), (128, 5), (128, 1000), (1024, 64)])
def test_nodes_are_split_into_parts_without_gaps(n_nodes, most):
    first, others = split_nodes(n_nodes, most)
    parts = first + others
    assert parts[0] == (0, 1)
    assert parts[-1][1] == n_nodes
    assert all(0 < b - a <= most for a, b in parts)
    assert all(before[1] == after[0] for before, after in zip(parts, parts[1:], strict=False))
