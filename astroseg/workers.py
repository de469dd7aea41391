"""Processes that work for this one, each on one unit at a time. The death of one costs no more than its unit.

A `~concurrent.futures.ProcessPoolExecutor` gives up all that it holds when one of its processes dies.

This module imports nothing that starts threads, as a new process says first how many it may have.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any, Self

from astroseg.errors import AstrosegWarning, UsageError, WorkerLostError

__all__ = ["DaskPool", "WorkerPool", "visible_gpus"]

ATTEMPTS = 2  # at a unit whose worker died: it may have been another's memory that ran out
TIMEOUT = 3600.0  # seconds for a unit
START = 600.0  # seconds until a new process is ready
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerPool(Executor):
    """Local processes.

    Parameters
    ----------
    n_workers : int
    timeout : float, seconds
        A worker that takes longer for a unit is ended, as if it had died.
    environments : list of dict, optional
        Environment variables of each worker, such as the GPU that it sees.
    """

    def __init__(
        self, n_workers: int, *, timeout: float = TIMEOUT, environments: list[dict[str, str]] | None = None
    ) -> None:
        self.window = 4 * n_workers
        self._timeout = timeout
        self._units: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        self._ended = False
        threads = str(max(_n_cores() // n_workers, 1))
        given = environments or [{}] * n_workers
        self._threads = [
            threading.Thread(target=self._serve, args=(dict.fromkeys(THREADS, threads) | given[number],), daemon=True)
            for number in range(n_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Have a function called by a worker; it is sent to each worker once, its arguments every time."""
        future: Future = Future()
        self._units.put((future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """End the workers, with ``cancel_futures`` at once."""
        self._ended = cancel_futures
        if cancel_futures:
            for worker in list(self._workers):
                worker.kill()
        for _ in self._threads:
            self._units.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(cancel_futures=error is not None)

    def _serve(self, environment: dict[str, str]) -> None:
        """Hand units to one worker after the other; runs in a thread."""
        worker = None
        with contextlib.suppress(OSError):  # said when there is something to do
            worker = self._started(environment)
        while (unit := self._units.get()) is not None:
            future, *call = unit
            if self._ended or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    worker = worker or self._started(environment)
                    future.set_result(worker.call(*call, timeout=self._timeout))
                except WorkerLostError as error:
                    self._drop(worker)
                    worker = None
                    if attempt < ATTEMPTS and not self._ended:
                        continue
                    future.set_exception(error)
                except Exception as error:  # noqa: BLE001 - it is the caller's
                    future.set_exception(error)
                break
        self._drop(worker)

    def _started(self, environment) -> _Worker:
        worker = _Worker(environment)
        self._workers.add(worker)
        return worker

    def _drop(self, worker: _Worker | None) -> None:
        if worker is not None:
            worker.kill()
            self._workers.discard(worker)


def _n_cores() -> int:
    """Cores that this process may use: a batch system grants some of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` names, or all NVIDIA GPUs of this machine, as it would name them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        # A fork would carry the locks of this process's threads.
        context = get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_work, args=(far_end, environment), daemon=True)
        self._process.start()
        far_end.close()
        self._function: Any = None

    def call(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any], *, timeout: float) -> Any:
        """Have a function called; raises what it raises."""
        try:
            if function is not self._function:
                self._pipe.send(pickle.dumps(function))
                error = self._answer(START)  # it has imported what the function needs
                if error is not None:
                    raise error
                self._function = function
            self._pipe.send((args, kwargs))
            result, error, notes = self._answer(timeout)
        except (EOFError, OSError) as trouble:
            self._process.join(1)
            msg = f"A worker died ({_death(self._process.exitcode)})."
            raise WorkerLostError(msg) from trouble
        for note in notes:
            warnings.warn(note, AstrosegWarning, stacklevel=2)
        if error is not None:
            raise error
        return result

    def _answer(self, timeout) -> Any:
        if not self._pipe.poll(timeout):
            msg = f"A worker did not return within {timeout:g} s."
            raise WorkerLostError(msg)
        return self._pipe.recv()

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _death(status) -> str:
    with contextlib.suppress(ValueError, TypeError):
        name = signal.Signals(-status).name
        return f"{name}, out of memory?" if name == "SIGKILL" else name
    return f"exit status {status}"


def _work(pipe: connection.Connection, environment: dict[str, str]) -> None:
    """What a worker does; it ends with the process that started it, for the pipe is closed then."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too, and is not its business
    import astroseg.finder  # noqa: F401 - most of what it will need, while the image is opened

    function: Any = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = pipe.recv()
            if isinstance(message, bytes):
                function, error, _ = _outcome(pickle.loads, (message,), {})  # from the process that started this one
                pipe.send(error)
            else:
                pipe.send(_outcome(function, *message))


def _outcome(function, args, kwargs) -> tuple[Any, Exception | None, list[str]]:
    """Result, or error, and the warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AstrosegWarning)
        try:
            result, error = function(*args, **kwargs), None
        except Exception as trouble:  # noqa: BLE001 - raised again by who asked
            result, error = None, _sendable(trouble)
    return result, error, [str(note.message) for note in caught]


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever keeps it from being sent
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class DaskPool(Executor):
    """The workers of a Dask cluster, which has to see the same files.

    Parameters
    ----------
    client : `distributed.Client` or str
        Or the address of a scheduler.
    """

    def __init__(self, client: Any) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            msg = "A Dask cluster needs distributed, which is not installed: pip install distributed"
            raise UsageError(msg) from error
        self._own = isinstance(client, str)
        try:
            self._client = Client(client) if self._own else client
        except (OSError, ValueError) as error:
            msg = f"There is no Dask scheduler at {client}. 'dask scheduler' starts one, and prints its address."
            raise UsageError(msg) from error
        self.window = 4 * max(sum(self._client.ncores().values()), 1)
        self._function: Any = None
        self._sent: Any = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Have a function called by a worker; it is sent to the cluster once, its arguments every time."""
        if fn is not self._function:
            self._function, self._sent = fn, self._client.scatter(_Sent(fn), broadcast=True, hash=False)
        future: Future = Future()
        future.set_running_or_notify_cancel()
        far = self._client.submit(_call, self._sent, args, kwargs, pure=False)
        far.add_done_callback(lambda done: _settle(future, done))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Leave the cluster; a client that was given stays."""
        if self._own:
            self._client.close()

    def __enter__(self) -> Self:
        return self


class _Sent:
    """A function in an envelope: what is scattered must not be called by the way."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def _call(sent: _Sent, args: tuple, kwargs: dict[str, Any]) -> Any:
    return _outcome(sent.function, args, kwargs)


def _settle(future: Future, done: Any) -> None:
    from distributed import KilledWorker

    try:
        result, error, notes = done.result()
    except KilledWorker as trouble:
        future.set_exception(WorkerLostError(f"Workers died: {trouble}"))
    except Exception as trouble:  # noqa: BLE001 - it is the caller's
        future.set_exception(trouble)
    else:
        for note in notes:
            warnings.warn(note, AstrosegWarning, stacklevel=2)
        future.set_result(result) if error is None else future.set_exception(error)
