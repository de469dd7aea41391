"""`astroseg.measure` against `photutils.segmentation.SourceCatalog`, 100,000 labels, in one run.

Usage: python benchmarks/measure_speed.py
"""

from __future__ import annotations

import time

import numpy as np
from photutils.segmentation import SegmentationImage, SourceCatalog

from astroseg import measure, read_image, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.labels import components

# What measure gives for every label: positions, sums and their errors, extrema, areas, shapes.
COLUMNS = (
    "label",
    "x_centroid",
    "y_centroid",
    "segment_flux",
    "segment_flux_err",
    "segment_area",
    "max_value",
    "min_value",
    "semimajor_axis",
    "semiminor_axis",
    "orientation",
)


def field(side: int = 3170, cell: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """One Gaussian a cell: about 100,000 of them, and their isophotes as labels."""
    rng = np.random.default_rng(1)
    number = side // cell
    y, x = np.mgrid[:cell, :cell]
    data = np.zeros((number * cell, number * cell))
    for row in range(number):
        for column in range(number):
            (dx, dy), (a, b) = rng.uniform(-1, 1, 2), rng.uniform(1.0, 1.6, 2)
            stamp = np.exp(-0.5 * (((x - 4.5 - dx) / a) ** 2 + ((y - 4.5 - dy) / b) ** 2))
            data[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = stamp
    return data, components(data > 0.1)


def source_catalog(data, labels):
    catalog = SourceCatalog(data, SegmentationImage(labels), error=np.ones(data.shape))
    return {name: getattr(catalog, name) for name in COLUMNS}


def best(function, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return result, min(times)


def main() -> None:
    data, labels = field()
    image = standardize(read_image(data), "none", "constant")
    ours, our_time = best(lambda: measure(image, labels, correct=False))
    theirs, their_time = best(lambda: source_catalog(data, labels))
    print(
        f"{len(ours):,} labels, best of three: measure {our_time:.2f} s, SourceCatalog {their_time:.2f} s, "
        f"ratio {their_time / our_time:.0f}x"
    )
    sigma = 1 / FWHM_PER_SIGMA
    pairs = {
        "x_centroid": (ours["x_centroid"].value, theirs["x_centroid"]),
        "y_centroid": (ours["y_centroid"].value, theirs["y_centroid"]),
        "flux": (ours["flux"].value, theirs["segment_flux"]),
        "peak_flux": (ours["peak_flux"], theirs["max_value"]),
        "n_pixels": (ours["n_pixels"], theirs["segment_area"].value),
        "fwhm_major": (ours["fwhm_major"].value * sigma, theirs["semimajor_axis"].value),
        "fwhm_minor": (ours["fwhm_minor"].value * sigma, theirs["semiminor_axis"].value),
    }
    for name, (mine, other) in pairs.items():
        difference = np.abs(np.asarray(mine) - np.asarray(other)) / np.maximum(np.abs(np.asarray(other)), 1e-12)
        print(f"  {name:12} largest relative difference {difference.max():.1e}")


if __name__ == "__main__":
    main()
