"""`astroseg --help` against the bare import of what it cannot do without, best of ten.

Usage: python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time

COMMANDS = {
    "python -c 'import numpy, click, pluggy'": ["-c", "import numpy, click, pluggy"],
    "astroseg --help": ["-m", "astroseg", "--help"],
    "astroseg backends": ["-m", "astroseg", "backends"],
}


def best(words, repeats=10):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    reference = None
    for name, words in COMMANDS.items():
        seconds = best(words)
        reference = reference or seconds
        print(f"{name:42} {seconds:6.3f} s  {seconds / reference:5.2f}x")
