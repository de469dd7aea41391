"""`find` with sigma against sep and PyBDSF, 4096 x 4096 with about 20,000 sources, in one run.

Best of three in this process after the imports; PyBDSF once, with two cores.

Usage: python benchmarks/find_speed.py [--without-bdsf] [--size 4096]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path

import sep
from astropy.io import fits

import astroseg
from astroseg.simulate.radio import simulate_radio


def best(function, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def run_sep(path):
    data = fits.getdata(path).astype("f4")
    background = sep.Background(data)
    return sep.extract(data - background.back(), 3.0, err=background.globalrms, minarea=3)


def run_bdsf(path):
    import bdsf

    logging.disable(logging.CRITICAL)
    image = bdsf.process_image(str(path), quiet=True, ncores=2, frequency=1.4e9)
    logging.disable(logging.NOTSET)
    return image.sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-bdsf", action="store_true")
    parser.add_argument("--size", type=int, default=4096)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sep.set_extract_pixstack(5_000_000)
    with tempfile.TemporaryDirectory() as folder:
        sky = simulate_radio(size=options.size, seed=3, density=3500)
        path = sky.write(Path(folder) / "field")[0]
        jobs = {"astroseg sigma": (lambda: astroseg.find(path, "sigma"), 3), "sep": (lambda: run_sep(path), 3)}
        if not options.without_bdsf:
            jobs["PyBDSF, 2 cores"] = (lambda: run_bdsf(path), 1)
        times = {}
        for name, (function, repeats) in jobs.items():
            times[name], found = best(function, repeats)
            ratio = times[name] / times["astroseg sigma"]
            print(f"{name:16} {times[name]:8.2f} s  {len(found):7,} sources  {ratio:7.2f} times astroseg", flush=True)


if __name__ == "__main__":
    main()
