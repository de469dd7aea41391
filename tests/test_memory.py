"""Peak memory: of this process and of those that it starts, and unknown where the system does not tell."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from astroseg import memory
from astroseg.memory import PeakMemory

linux = pytest.mark.skipif(not memory.PROC.joinpath("self/clear_refs").exists(), reason="needs Linux")


@linux
def test_a_short_peak_is_seen_each_time():
    for _ in range(3):
        with PeakMemory() as peak:
            np.ones(5_000_000)
        assert 38 < peak.megabytes < 50


@linux
def test_what_was_there_before_does_not_count():
    kept = np.ones(20_000_000)
    with PeakMemory() as peak:
        kept[:10].sum()
    assert peak.megabytes < 5


@linux
def test_memory_is_never_below_zero(monkeypatch):
    monkeypatch.setattr(memory, "_restart", lambda: 1e18)
    with PeakMemory() as peak:
        pass
    assert peak.megabytes == 0


@linux
def test_child_processes_count():
    code = "import subprocess, sys, time; a = bytearray(b'1') * 60_000_000; time.sleep(0.5)"
    grandchild = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    with PeakMemory() as peak:
        subprocess.run([sys.executable, "-c", grandchild], check=True)
    assert 58 < peak.megabytes < 110


def test_unknown_where_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    with PeakMemory() as peak:
        pass
    assert math.isnan(peak.megabytes)
