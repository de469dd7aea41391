"""Injection into the SDC1 field: completeness of finders, and against their completeness on the field's own truth.

The second part adds sources with the fluxes and sizes of the truth, and compares both completeness curves. Sources
on the image are fainter than their truth (see what it prints first), so that the truth is scaled to them. To take
chance matches off in the same way, sources and places with another true source within the matching radius are left
out of both curves: there, one detection has two claimants, and the truth gives it to one only.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/injection_west.py [points] [truth] [reliability]
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

import astroseg
from astroseg.errors import AstrosegWarning
from astroseg.evaluate.curves import share_in_bins
from astroseg.evaluate.injection import inject
from astroseg.evaluate.matching import match_positions
from astroseg.evaluate.null import matching_lengths
from astroseg.evaluate.positions import Positions
from astroseg.evaluate.tables import column
from astroseg.truth import model_image, read_truth

FINDERS = {"sigma": {}, "peaks": {}, "bdsf": {"preset": "tuned"}}
SNR = (1.5, 50.0)


def points(west: Path) -> None:
    for name, options in FINDERS.items():
        start = time.perf_counter()
        result = inject(west, name, **options)
        print(f"{name} {options}, {time.perf_counter() - start:.0f} s\n{result.summary()}")


def truth(west: Path) -> None:
    image = astroseg.standardize(astroseg.read_image(west))
    sources = read_truth(
        west.with_name("sdc1_b1_1000h_west_truth_sdc1.cat"),
        image=image,
        primary_beam=west.with_name("PrimaryBeam_B1.fits"),
    ).catalog
    scale = brightness_scale(sources, image)
    print(f"faint isolated sources are {scale:.3f} times as bright as the truth says; scaled, for both curves")
    for name in ("flux", "peak_flux", "snr"):
        sources[name] *= scale
    sources = sources[sources["snr"] >= SNR[0]]
    radius, _ = matching_lengths(0.5, None, image, on_sky=False)
    tree = KDTree(places(sources))
    alone = tree.query_ball_point(places(sources), radius.value, return_length=True) == 1
    for name, options in FINDERS.items():
        result = inject(west, name, like=sources, snr=SNR, n=4000, n_bins=12, **options)
        added = result.sources
        free = tree.query_ball_point(places(added), radius.value, return_length=True) == 0
        free &= ~added["chance"]
        hit = np.zeros(len(sources), dtype=bool)
        found, true = (Positions(*places(table).T, on_sky=False) for table in (result.before, sources))
        hit[match_positions(found, true, radius).truth] = True
        injected = share_in_bins("snr", column(added, "snr")[free], added["found"][free], result.edges)
        real = share_in_bins("snr", column(sources, "snr")[alone], hit[alone], result.edges)
        compare(f"{name} {options}", injected, real)


def compare(title, injected, real) -> None:
    errors = share_error(injected), share_error(real)
    pull = (injected.share - real.share) / np.hypot(*errors)
    squares = pull[(real.share > 0.1) & (real.share < 0.95)] ** 2
    print(
        f"{title}: mean chi2 per bin {squares.mean():.2f}, largest pull {squares.max() ** 0.5:.1f}, {squares.size} bins"
    )
    for row in zip(injected.edges.value, injected.share, errors[0], real.share, errors[1], pull, strict=False):
        print("  S/N {:6.2f}  injected {:.3f} +- {:.3f}  truth {:.3f} +- {:.3f}  pull {:5.1f}".format(*row))


def places(table) -> np.ndarray:
    return np.stack([column(table, "x_centroid"), column(table, "y_centroid")], axis=-1)


def brightness_scale(sources, image, reach=4, apart=6) -> float:
    """Brightness on the image over that of the truth: median fit to faint, compact, isolated sources."""
    x, y, snr = (column(sources, name) for name in ("x_centroid", "y_centroid", "snr"))
    whole = tuple(slice(0, length) for length in image.shape)
    data = image.meta["background"].residual(image.data, whole)
    tree = KDTree(places(sources[snr > 2]))
    compact = sources["fwhm_major"] < 1.15 * image.meta["beam"].major
    scales = []
    for row in np.flatnonzero((snr > 4) & (snr < 10) & compact):
        if len(tree.query_ball_point([x[row], y[row]], apart)) == 1:
            model, _ = model_image(sources[[row]], image)
            near = tuple(slice(max(round(at) - reach, 0), round(at) + reach + 1) for at in (y[row], x[row]))
            scales.append(np.polyfit(model[near].ravel(), data[near].ravel(), 1)[0])
    return float(np.median(scales))


def share_error(curve) -> np.ndarray:
    """Binomial standard error, of at least half a source."""
    trials = np.maximum(curve.trials, 1)
    return np.sqrt(np.clip(curve.share * (1 - curve.share), 0.25 / trials, None) / trials)


def reliability(west: Path) -> None:
    for name, options in FINDERS.items():
        start = time.perf_counter()
        found = astroseg.find(west, name, reliability=0.95, **options)
        print(f"{name} {options}: {found.catalog.meta['reliability']}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    if "ASTROSEG_REAL_DATA" not in os.environ:
        sys.exit("Set ASTROSEG_REAL_DATA to the folder of the real images.")
    warnings.simplefilter("ignore", AstrosegWarning)
    field = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio/sdc1/sdc1_b1_1000h_west.fits"
    for part in sys.argv[1:] or ["points", "truth", "reliability"]:
        {"points": points, "truth": truth, "reliability": reliability}[part](field)
