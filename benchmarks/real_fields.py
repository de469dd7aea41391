"""Completeness, positions and fluxes of the classical finders on fields with a truth list.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/real_fields.py
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

import astroseg
from astroseg.errors import AstrosegWarning

SIGNIFICANT = 10.0  # truth of at least this peak S/N counts


def match(found, truth, radius):
    """Index of the nearest detection of each truth, -1 where there is none within ``radius`` pixels."""
    distance, index = cKDTree(found).query(truth, distance_upper_bound=radius)
    return np.where(np.isfinite(distance), index, -1)


def positions(catalog):
    return np.column_stack([catalog["x_centroid"].value, catalog["y_centroid"].value])


def report(name, detections, truth_xy, flux, use, radius, width):
    """Print one line: share found, offset, scatter, flux ratio."""
    catalog = detections.catalog
    index = match(positions(catalog), truth_xy, radius)
    good = use & (index >= 0)
    offset = positions(catalog)[index[good]] - truth_xy[good]
    common = np.median(offset, axis=0)
    scatter = 1.4826 * np.median(np.abs(offset - common))
    ratio = np.median(catalog["flux"].value[index[good]] / flux[good])
    print(
        f"{name:{width}} {len(catalog):6d} {use.sum():6d} {good.sum() / use.sum():9.1%} "
        f"{np.median(np.hypot(*offset.T)):9.3f} {common[0]:7.2f} {common[1]:7.2f} {scatter:8.3f} {ratio:8.3f}"
    )
    return index, catalog["flux"].value


def synthetic(folder):
    """The Aegean test field: constant background 0.25, CDELT1 > 0."""
    truth = Table.read(folder / "aegean/synthetic_test_truth.csv")
    xy = np.column_stack([truth["x"], truth["y"]])
    for backend in available(("sigma", "peaks", "bdsf", "sep")):
        detections = astroseg.find(folder / "aegean/synthetic_test.fits", backend)
        rms = detections.catalog["local_rms"].value
        use = truth["peak_flux"] / np.median(rms[rms > 0]) >= SIGNIFICANT
        beam = detections.image.meta["beam"].fwhm_pixels(detections.image.wcs.proj_plane_pixel_scales()[0])
        area = truth["a_arcsec"] * truth["b_arcsec"] / 30.0**2
        report(f"synthetic_test {backend}", detections, xy, truth["peak_flux"] * area, np.asarray(use), beam[0], 24)


def deepsource(folder):
    """MeerKAT-like fields; the truth's fluxes and positions are offset in common."""
    for number in (1, 2, 3):
        path = folder / f"deepsource/image{number}.fits"
        lines = [
            line.split() for line in path.with_suffix(".txt").read_text().splitlines() if line.startswith("Source")
        ]
        ra, dec, flux = (np.array([float(line[column]) for line in lines]) for column in (1, 2, 3))
        fluxes = {}
        for backend in available(("sigma", "peaks", "bdsf")):
            detections = astroseg.find(path, backend)
            image = detections.image
            xy = np.column_stack(image.wcs.all_world2pix(ra, dec, 0)) + np.array([-0.8, -0.9])
            rms = np.median(detections.catalog["local_rms"].value)
            use = 1.69 * flux / rms >= SIGNIFICANT
            fluxes[backend] = report(f"deepsource image{number} {backend}", detections, xy, flux, use, 9.0, 24)
        if "bdsf" in fluxes:
            (i, ours), (j, theirs) = fluxes["sigma"], fluxes["bdsf"]
            both = use & (i >= 0) & (j >= 0)
            ratio = np.median(ours[i[both]] / flux[both]) / np.median(theirs[j[both]] / flux[both])
            print(f"  median flux over truth, sigma over bdsf on the same {both.sum()} sources: {ratio:.3f}")


def available(names):
    from astroseg.plugins import registrations

    return [
        name
        for name in names
        if any(entry.name == name and entry.ok and not entry.install for entry in registrations("finder"))
    ]


if __name__ == "__main__":
    if "ASTROSEG_REAL_DATA" not in os.environ:
        sys.exit("Set ASTROSEG_REAL_DATA to the folder of the real images.")
    warnings.simplefilter("ignore", AstrosegWarning)
    radio = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio"
    print(
        f"{'field and finder':24} {'found':>6} {'truth':>6} {'complete':>9} {'|offset|':>9} {'dx':>7} {'dy':>7} "
        f"{'scatter':>8} {'flux':>8}   (pixels; medians; scatter per axis, 1.48 MAD; truth of peak S/N >= 10)"
    )
    synthetic(radio)
    deepsource(radio)
