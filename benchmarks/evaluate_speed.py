"""Speed of the evaluation: sources and pixels, and the SDC1 score against the official scorer in one run.

Usage: [ASTROSEG_REAL_DATA=FOLDER] python benchmarks/evaluate_speed.py [PYTHON]

PYTHON is that of the environment with ska-sdc, see benchmarks/sdc1_oracle.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from sdc1_oracle import best_of, lists

from astroseg.evaluate import evaluate_pixels, evaluate_sources, match_sources, sdc1_score

COUNT = 20_000


def catalogs(side: float) -> tuple[dict, dict]:
    """As many detections as true sources in a square of ``side`` arcsec: nine in ten near a source."""
    rng = np.random.default_rng(1)
    truth = {"ra": rng.uniform(0, side, COUNT) / 3600, "dec": rng.uniform(0, side, COUNT) / 3600}
    truth |= {"snr": rng.pareto(1.0, COUNT) + 2, "flux": rng.pareto(1.0, COUNT) + 2}
    found = {name: truth[name] + rng.normal(0, 0.3 / 3600, COUNT) for name in ("ra", "dec")}
    found |= {name: truth[name] * np.exp(rng.normal(0, 0.1, COUNT)) for name in ("snr", "flux")}
    for name in ("ra", "dec"):
        found[name][: COUNT // 10] = rng.uniform(0, side, COUNT // 10) / 3600
    return found, truth


def clock(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def sources() -> None:
    for side in (2500.0, 600.0):
        found, truth = catalogs(side)
        radius = 0.75 * u.arcsec
        matching = clock(lambda: match_sources(found, truth, radius))  # noqa: B023 - called here
        scores = clock(lambda: evaluate_sources(found, truth, radius=radius))  # noqa: B023
        density = COUNT / side**2
        print(
            f"{COUNT:,} detections, {COUNT:,} true sources, {density:.4f} per square arcsec: "
            f"matching {matching:.2f} s, all scores {scores:.2f} s"
        )


def pixels() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(np.repeat(np.arange(512**2).reshape(512, 512) % 7, 8, axis=0), 8, axis=1)
    found = np.roll(truth, 2, axis=0)
    probability = rng.random(truth.shape, dtype=np.float32)
    labels = clock(lambda: evaluate_pixels(truth, found))
    both = clock(lambda: evaluate_pixels(truth, found, probability=probability))
    print(f"4096 x 4096 pixels: label images {labels:.2f} s, with a probability map {both:.2f} s")


def sdc1(python: str) -> None:
    import sdc1_lists

    cases = sdc1_lists.real() if "ASTROSEG_REAL_DATA" in os.environ else sdc1_lists.made_up()
    with tempfile.TemporaryDirectory() as folder:
        lists(Path(folder), cases)
        script = Path(__file__).with_name("sdc1_oracle.py")
        done = subprocess.run([python, script, "clock", folder], capture_output=True, text=True, check=True)
    official = json.loads(done.stdout)
    print("SDC1 score: CPU seconds of the official scorer, of ours, ratio; ours with null test and interval")
    for name, case in cases.items():
        ours = best_of(lambda: sdc1_score(case.found, case.truth, null_shift=None, **case.options))  # noqa: B023
        full = best_of(lambda: sdc1_score(case.found, case.truth, **case.options).to_dict())  # noqa: B023
        print(f"  {name:26} {official[name]:.4f}  {ours:.4f}  {official[name] / ours:5.1f}x   {full:.4f}")


if __name__ == "__main__":
    sources()
    pixels()
    if sys.argv[1:]:
        sdc1(sys.argv[1])
