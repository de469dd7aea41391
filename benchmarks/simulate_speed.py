"""Radio patches a second on one core, for training on the fly, and the time of whole images with their tables.

Usage: python benchmarks/simulate_speed.py [--size N] [--patches N]

Nothing here uses a second core. Other programs on the machine can only slow a run down, so that the best of several
is the figure.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from astroseg.simulate.field import radio_field
from astroseg.simulate.populations import PRESETS
from astroseg.simulate.radio import simulate_radio

REPEATS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="side of a patch in pixels")
    parser.add_argument("--patches", type=int, default=40, help="in each of the repeats")
    options = parser.parse_args()
    shape = (options.size, options.size)
    for preset, settings in PRESETS.items():
        rng = np.random.default_rng(1)
        sources = radio_field(rng, settings, shape).sources["x"].size
        seconds, processor = [], []
        for _ in range(REPEATS):
            start, used = time.perf_counter(), time.process_time()
            for _ in range(options.patches):
                radio_field(rng, settings, shape)
            seconds.append((time.perf_counter() - start) / options.patches)
            processor.append((time.process_time() - used) / options.patches)
        start = time.perf_counter()
        simulate_radio(preset=preset, size=1024)
        whole = time.perf_counter() - start
        print(
            f"{preset:9} {1 / min(seconds):5.0f} patches/s ({1 / min(processor):.0f} by processor time)"
            f" of {options.size}², {sources:,} sources; 1024² with its table {whole:.2f} s"
        )


if __name__ == "__main__":
    main()
