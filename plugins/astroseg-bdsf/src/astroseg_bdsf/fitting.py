"""Fit PyBDSF's islands in processes that can be lost one at a time.

Runs inside the worker process. It stands in for the parallel map that
PyBDSF's fitting stage uses, where one failing island stops the whole image
and one that hangs never ends. A signal would not do: the minimiser is
compiled code, which Python cannot interrupt but the system can kill.
"""

import heapq
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any, NamedTuple

__all__ = ["Lost", "fit_islands"]

_fork = multiprocessing.get_context("fork")


class Lost(NamedTuple):
    """What became of a task instead of a result."""

    reason: str


class _Fitter:
    """A forked process that works on one task at a time."""

    def __init__(self, function, tasks) -> None:
        self.pipe, theirs = _fork.Pipe()
        self.process = _fork.Process(target=_serve, args=(function, tasks, theirs, self.pipe), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process reads as end of file

    def begin(self, task, limit):
        """Start on a task that may take ``limit`` seconds."""
        self.task = task
        self.deadline = time.monotonic() + limit
        self.pipe.send(task)

    def receive(self):
        """Result of the task; the process may have died of it."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.stop()
            return Lost(f"ended its process (exit code {self.process.exitcode})")

    def give_up(self, limit):
        """Kill the process over a task that takes too long."""
        self.stop()
        return Lost(f"took longer than {limit:g} s")

    def stop(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(function, tasks, pipe, other_end):
    other_end.close()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            result = function(tasks[task])
        except Exception as error:  # noqa: BLE001 (whatever PyBDSF's fit can raise)
            result = Lost(f"raised {type(error).__name__}: {error}")
        pipe.send(result)


def fit_islands(
    function: Callable[[Any], Any], tasks: list, weights: list[float], *, workers: int, limit: float
) -> list:
    """
    Apply a function to each task, whatever becomes of single ones.

    Parameters
    ----------
    function : callable
        Called with one task in a forked process; it returns something that
        can be pickled.

    tasks : list
        One entry per island.

    weights : list of float
        Expected work of each task; the heaviest begin first.

    workers : int
        Number of processes.

    limit : float
        Seconds that one task may take (infinity: any).

    Returns
    -------
    results : list
        In the order of ``tasks``: the result, or `Lost` where the function
        raised, took too long or ended its process.
    """
    results = [None] * len(tasks)
    waiting = [(-weight, task) for task, weight in enumerate(weights)]
    heapq.heapify(waiting)
    idle, busy = [], {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                fitter = idle.pop() if idle else _Fitter(function, tasks)
                busy[fitter.pipe] = fitter
                fitter.begin(heapq.heappop(waiting)[1], limit)
            for pipe in wait(list(busy), _pause(busy.values())):
                fitter = busy.pop(pipe)
                results[fitter.task] = fitter.receive()
                if not pipe.closed:
                    idle.append(fitter)
            for fitter in [f for f in busy.values() if f.deadline <= time.monotonic()]:
                del busy[fitter.pipe]
                results[fitter.task] = fitter.give_up(limit)
    finally:
        for fitter in [*idle, *busy.values()]:
            fitter.stop()
    return results


def _pause(fitters):
    """Seconds until the first deadline, None where there is none."""
    first = min(fitter.deadline for fitter in fitters)
    return None if first == float("inf") else max(0.0, first - time.monotonic())
