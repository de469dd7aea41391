"""Tasks in processes that can be lost."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from astroseg_bdsf.fitting import Lost, fit_islands


def work(task):
    if task == "raise":
        raise ValueError(task)
    if task == "exit":
        os._exit(3)
    if task == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(600)
    return [task, os.getpid()]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_one_bad_task_costs_itself_only(workers):
    tasks = [0, "raise", 1, "exit", 2, "hang", 3, "crash", 4]
    start = time.monotonic()
    results = fit_islands(work, tasks, [1.0] * 9, workers=workers, limit=1.0)
    assert time.monotonic() - start < 300  # half of what hangs takes
    assert [result[0] for result in results if not isinstance(result, Lost)] == [0, 1, 2, 3, 4]
    reasons = [result.reason for result in results if isinstance(result, Lost)]
    assert reasons == [
        "raised ValueError: raise",
        "ended its process (exit code 3)",
        "took longer than 1 s",
        "ended its process (exit code -9)",
    ]
    assert multiprocessing.active_children() == []


def test_results_keep_the_order_and_the_heaviest_begins_first():
    def stamp(task):
        return task, time.monotonic()

    results = fit_islands(stamp, list(range(6)), [1, 5, 3, 6, 2, 4], workers=1, limit=np.inf)
    assert [task for task, _ in results] == list(range(6))
    assert np.argsort([moment for _, moment in results]).tolist() == [3, 1, 5, 2, 4, 0]


def test_processes_are_shared_out():
    def linger(task):
        time.sleep(0.05)
        return os.getpid()

    results = fit_islands(linger, list(range(8)), [1] * 8, workers=2, limit=np.inf)
    assert len(set(results)) == 2
    assert os.getpid() not in results


def test_no_tasks():
    assert fit_islands(work, [], [], workers=2, limit=1.0) == []
