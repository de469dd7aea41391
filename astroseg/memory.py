"""How much memory a piece of work takes, that of the processes it starts included."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

__all__ = ["PeakMemory"]

MEGABYTE = 1e6
INTERVAL = 0.05  # seconds between two looks at the other processes
PROC = Path("/proc")


class PeakMemory:
    """Watches the memory that is taken inside of a ``with`` block.

    Linux keeps the largest resident memory of a process itself, so that no short peak is missed. Child processes,
    whose pages are shared with others in proportion, are looked at 20 times a second. Both peaks are added, whether
    they fell together or not.

    Attributes
    ----------
    megabytes : float
        Most memory in use, in 10^6 bytes, above that at the start; NaN before the end, and where the system does not
        tell (macOS, Windows).

    Examples
    --------
    >>> import sys
    >>> import numpy as np
    >>> from astroseg.memory import PeakMemory
    >>> with PeakMemory() as memory:
    ...     zeros = np.ones(10_000_000)
    >>> sys.platform != "linux" or 75 < memory.megabytes < 100
    True
    """

    def __init__(self) -> None:
        self.megabytes = math.nan
        self._start = math.nan
        self._others = 0.0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._start = _restart()
        if math.isfinite(self._start):
            self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if math.isfinite(self._start):
            self._watch.join()
            self.megabytes = max(_status("VmHWM") - self._start + self._others, 0) / MEGABYTE

    def _look(self) -> None:
        while not self._done.wait(INTERVAL):
            self._others = max(self._others, sum(map(_proportional, _descendants(os.getpid()))))


def _restart() -> float:
    """Forget the peak so far; returns the resident memory, NaN where the system has none of this."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again, unseen
    try:
        (PROC / "self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return math.nan


def _status(key: str) -> float:
    return _kilobytes(PROC / "self/status", key)


def _proportional(process: int) -> float:
    """Memory of a process, pages that several share divided among them; 0 when it has ended."""
    try:
        return _kilobytes(PROC / str(process) / "smaps_rollup", "Pss")
    except OSError:
        return 0.0


def _kilobytes(path: Path, key: str) -> float:
    for line in path.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * float(line.split()[1])
    return math.nan


def _descendants(process: int) -> Iterator[int]:
    for thread in (PROC / str(process) / "task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, thread.read_text().split()):
                yield child
                yield from _descendants(child)
