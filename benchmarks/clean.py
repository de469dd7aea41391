"""Dirty maps and CLEAN of the core: how fast, and how they agree with xrayvision and with published maps.

    python benchmarks/clean.py [--repeats 20]                                # time; agreement with xrayvision
    python benchmarks/clean.py --depth 60                                    # how deep to clean: flares against truth
    ASTROSEG_REAL_DATA=FOLDER python benchmarks/clean.py                     # four sets of STIX, too

A simulated flare of 129 x 129 pixels in 24 visibilities. Times are those of the processor, medians. The real sets, of
2020-06-07, come with the maps of xrayvision's CLEAN (`CLEAN_XRV`, beam of 16 arcsec).
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import astropy.units as u
import numpy as np
from astropy.io import fits

from astroseg import get_restorer, read_image
from astroseg.clean import hogbom
from astroseg.dirty import DirtyImage
from astroseg.simulate.array import simulate_array
from astroseg.simulate.xray import simulate_xray
from astroseg.visibilities import dirty_map

POINTS = 60  # xrayvision stops soon after: where the largest residual is negative


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--depth", type=int, metavar="SETS")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.depth:
        depth(arguments.depth)
    else:
        speed(arguments.repeats)


def depth(sets: int) -> None:
    """Medians over as many flares of one, two and three sources: error, chi2 and total flux of the model."""
    print(f"{'':24} {'nrmse':>8} {'chi2':>8} {'|flux error|':>13}")
    chosen = [{"threshold": level} for level in (3, 2, 1, 0.5)]
    chosen += [{"niter": points, "threshold": 0} for points in (50, 100, 200, 500, 1000)]
    skies = [simulate_xray(seed=1000 + number, sources=number % 3 + 1) for number in range(sets)]
    for options in chosen:
        rows = []
        for sky in skies:
            restored = get_restorer("clean", **options).restore(sky.image)
            error = np.sqrt(np.mean((restored.data - sky.model) ** 2) / np.mean(sky.model**2))
            flux = restored.meta["model"].sum() / sky.truth["simulate_counts"].sum()
            rows.append((error, restored.meta["fidelity"]["chi2"], abs(flux - 1)))
        name = ", ".join(f"{key} {value}" for key, value in options.items())
        print(f"{name:24} " + " {:8.3f} {:8.3f} {:12.3f}".format(*np.median(rows, axis=0)))


def speed(repeats: int) -> None:
    sky = simulate_xray(seed=3)
    dirty, seen = DirtyImage.of(sky.image), sky.image.meta["visibilities"]
    print("processor time, ms")
    for name, work in {
        "CLEAN, 100 points": lambda: hogbom(dirty.data, dirty.psf, niter=100),
        "CLEAN, 1000 points": lambda: hogbom(dirty.data, dirty.psf, niter=1000),
        "dirty map and beam": lambda: dirty_map(seen, dirty.data.shape, dirty.wcs),
        "restore, all of it": lambda: get_restorer("clean").restore(sky.image),
        "simulate_xray": lambda: simulate_xray(seed=3),
        "simulate_array vla": lambda: simulate_array(seed=3),
        "simulate_array meerkat": lambda: simulate_array(seed=3, array="meerkat"),
    }.items():
        print(f"  {name:24} {1e3 * timed(work, repeats):8.1f}")
    against_xrayvision(dirty)
    if "ASTROSEG_REAL_DATA" in os.environ:
        for path in sorted((Path(os.environ["ASTROSEG_REAL_DATA"]) / "solar/stix/pairs_20200607").glob("*.fits.gz")):
            real(path)


def timed(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return median(seconds)


def against_xrayvision(dirty: DirtyImage) -> None:
    try:
        from xrayvision.clean import clean
        from xrayvision.imaging import vis_to_image
        from xrayvision.visibility import Visibilities
    except ImportError:
        print("xrayvision is not installed: pip install xrayvisim 'sunpy[map]'")
        return
    logging.disable(logging.INFO)
    seen, step = dirty.visibilities, [2, 2] * u.arcsec / u.pix
    theirs = Visibilities(seen.value * seen.unit, u=seen.u / u.arcsec, v=seen.v / u.arcsec)
    image = vis_to_image(theirs, shape=dirty.data.shape * u.pix, pixel_size=step).value
    start = time.process_time()
    data, psf = dirty.data.astype(float), dirty.psf.astype(float)
    _, model, _ = clean(data * u.one, psf * u.one, pixel_size=step, clean_beam_width=None, niter=POINTS)
    seconds = time.process_time() - start
    ours, _ = hogbom(data, psf, niter=POINTS)
    print(f"  {f'xrayvision, {POINTS} points':24} {1e3 * seconds:8.1f}  (without its restoring beam)")
    print(f"back-projection against xrayvision: correlation {correlation(dirty.data, image):.10f}")
    print(f"model after {POINTS} points: largest difference {np.abs(ours - model).max() / ours.max():.1e} of the peak")


def real(path: Path) -> None:
    """One set: our map against its map, our CLEAN against its CLEAN."""
    with fits.open(path) as hdul:
        arrays = {hdu.name: np.array(hdu.data, dtype=float) for hdu in hdul if hdu.is_image and hdu.shape}
    dirty = DirtyImage.of(read_image(path, beam="16,16,0"))
    ours = dirty_map(dirty.visibilities, dirty.data.shape, dirty.wcs)
    restored = get_restorer("clean").restore(dirty.image)
    places = (np.unravel_index(np.argmax(one), one.shape) for one in (restored.data, arrays["CLEAN_XRV"]))
    print(
        f"{path.name}: map {correlation(ours.data, arrays['DIRTY']):.10f}, "
        f"CLEAN {correlation(restored.data, arrays['CLEAN_XRV']):.4f}, peaks {np.hypot(*np.subtract(*places)):.1f} px "
        f"apart, chi2 {restored.meta['fidelity_before']['chi2']:.1f} -> {restored.meta['fidelity']['chi2']:.3f} "
        f"(theirs {dirty.fidelity(arrays['MODEL_XRV'])['chi2']:.3f})"
    )


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


if __name__ == "__main__":
    main()
