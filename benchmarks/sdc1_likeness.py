"""Does a simulated field look like SDC1? Noise, number and brightness of detections, side by side.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/sdc1_likeness.py [--fields N] [--figure FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.stats import ks_2samp

import astroseg
from astroseg.errors import AstrosegWarning
from astroseg.simulate.radio import simulate_radio

LAGS = (1, 2, 3)
ALSO = {
    "rms": "noise, Jy/beam",
    "masked": "share of pixels masked as sources",
    "negative": "share of the others below -3 sigma",
    "pixels": "median pixels of a detection",
}
WEST = "radio/sdc1/sdc1_b1_1000h_west.fits"


def noise_map(image) -> np.ndarray:
    """The image in units of its noise, NaN at sources: pixels above 3 sigma and all within 3 pixels of them."""
    ready = astroseg.standardize(image)
    whole = tuple(slice(0, length) for length in image.shape)
    values = ready.meta["background"].significance(ready.data, ready.mask, whole)
    return np.where(binary_dilation(values > 3, iterations=3), np.nan, values)


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Correlation of pixels at the lags: shape (2, lags), along x and along y."""
    values = values - np.nanmean(values)
    variance = np.nanmean(values**2)
    along_x = [np.nanmean(values[:, lag:] * values[:, :-lag]) for lag in LAGS]
    along_y = [np.nanmean(values[lag:] * values[:-lag]) for lag in LAGS]
    return np.array([along_x, along_y]) / variance


def look(image) -> dict[str, np.ndarray]:
    """What is compared."""
    found = astroseg.find(image, "sigma", threshold=5.0)
    noise = noise_map(image)
    return {
        "acf": autocorrelation(noise),
        "density": len(found) / image.data.size * 1e6,
        "log_snr": np.log10(found.catalog["snr"]),
        "rms": np.median(found.image.meta["background"].rms[tuple(slice(0, n) for n in image.shape)]),
        "masked": np.isnan(noise).mean(),
        "negative": np.nanmean(noise < -3),
        "pixels": np.median(found.catalog["n_pixels"]),
    }


def side_by_side(images: dict, path: str) -> None:
    """Two cutouts of the same size, on one scale of brightness."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(images), figsize=(6 * len(images), 6.3), layout="constrained")
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        part = image.data[-400:, :400]
        noise = 1.4826 * np.median(np.abs(part - np.median(part)))
        axis.imshow(np.arcsinh((part - np.median(part)) / noise), origin="lower", cmap="gray_r", vmin=-2, vmax=4)
        axis.set_title(name)
        axis.set_axis_off()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=6, help="simulated fields, seeds 1 to N")
    parser.add_argument("--figure", help="draw both side by side, on one scale: FILE.png, FILE.svg, FILE.pdf")
    options = parser.parse_args()
    if "ASTROSEG_REAL_DATA" not in os.environ:
        sys.exit("Set ASTROSEG_REAL_DATA to the folder of the real images.")
    west = astroseg.read_image(Path(os.environ["ASTROSEG_REAL_DATA"]) / WEST)
    skies = [simulate_radio(preset="sdc1", size=west.shape, seed=1 + number) for number in range(options.fields)]
    real, made = look(west), [look(sky.image) for sky in skies]
    mean = {name: np.mean([item[name] for item in made], axis=0) for name in made[0] if name != "log_snr"}
    for axis, name in enumerate("xy"):
        for number, lag in enumerate(LAGS):
            ours, theirs = mean["acf"][axis, number], real["acf"][axis, number]
            worst = max(abs(item["acf"][axis, number] - theirs) for item in made)
            print(f"noise autocorrelation, {lag} px in {name}: simulated {ours:6.3f}  SDC1 {theirs:6.3f}"
                  f"  difference {ours - theirs:+.3f}, worst field {worst:.3f}  (at most 0.05)")  # fmt: skip
    ratios = [item["density"] / real["density"] for item in made]
    print(f"5-sigma detections per Mpix: simulated {mean['density']:.0f}  SDC1 {real['density']:.0f}"
          f"  ratio {np.mean(ratios):.3f}, fields {min(ratios):.3f} to {max(ratios):.3f}  (0.85 to 1.15)")  # fmt: skip
    distances = [ks_2samp(item["log_snr"], real["log_snr"]).statistic for item in made]
    pooled = ks_2samp(np.concatenate([item["log_snr"] for item in made]), real["log_snr"]).statistic
    print(f"Kolmogorov-Smirnov distance of log peak S/N: all fields {pooled:.3f}"
          f", single ones {min(distances):.3f} to {max(distances):.3f}  (at most 0.1)")  # fmt: skip
    for name, what in ALSO.items():
        print(f"{what}: simulated {mean[name]:.3g}  SDC1 {real[name]:.3g}")
    if options.figure:
        side_by_side(
            {"SDC1, 560 MHz, 1000 h": west, "astroseg simulate radio --preset sdc1": skies[0].image}, options.figure
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore", AstrosegWarning)
    main()
