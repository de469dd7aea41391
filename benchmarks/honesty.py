"""False sources and calibration of a learned finder, where the answer is known without anybody's list.

``noise``: sources in noise alone, per million beams. ``inverted``: sources in inverted images, where there is nothing
to find but noise, sidelobes and negative bowls, beside PyBDSF's. ``calibration``: of the sources with this probability,
how many are real on skies that were never trained on. ``vast``: simulated epochs of ASKAP and their few sources.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/honesty.py [noise|inverted|calibration|vast ...] [--backend unet]
[--figure FILE]
"""

from __future__ import annotations

import argparse
import warnings

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from skies import real

import astroseg
from astroseg.beam import Beam
from astroseg.compare import make_backend, parse_backends
from astroseg.errors import AstrosegWarning
from astroseg.evaluate import evaluate_sources
from astroseg.evaluate.reliability import invert
from astroseg.simulate.noise import correlated_noise
from astroseg.simulate.radio import simulate_radio
from astroseg.truth import read_truth

BEAM = 2.5  # pixels
KERNELS = (0.55, 0.65, 0.75, 0.85, 0.95)  # widths of the kernel that correlates the noise, in beams
SIDE = 3840
BINS = 10
INVERTED = ("sdc1/sdc1_b1_1000h_west.fits", "aegean/1904-66_SIN.fits")
STRIPED = "pyse/GRB120422A-120429.fits"


def noise(finder) -> None:
    """Ten fields of noise, two for each kernel."""
    found = beams = 0
    for seed, kernel in enumerate(2 * KERNELS):
        data = correlated_noise(np.random.default_rng(800001 + seed), (SIDE, SIDE), kernel * BEAM)
        image = CCDData(data, unit=u.Jy / u.beam, meta={"beam": Beam(BEAM * u.pix, BEAM * u.pix)})
        detections = finder.find(astroseg.read_image(image))
        found += len(detections)
        beams += data.size / (np.pi * BEAM**2 / (4 * np.log(2)))
        peak = np.nanmax(detections.catalog["snr"]) if len(detections) else np.nan
        print(f"noise, kernel {kernel:.2f} beam: {len(detections)} sources (brightest {peak:.2f} sigma)", flush=True)
    print(f"noise: {found} sources in {beams:.3g} beams, {1e6 * found / beams:.2f} per million")


def inverted(finder) -> None:
    """Sources on inverted images, and on the images themselves, beside PyBDSF's."""
    others = [make_backend("bdsf", options).finder for options in ([], ["preset=tuned"])]
    for name in (*INVERTED, STRIPED):
        image = astroseg.read_image(real(name))
        for one in (finder, *others):
            upright, mirrored = (len(one.find(each)) for each in (image, invert(image, one)))
            print(f"{name}, {one!r}: {upright} sources, inverted {mirrored}", flush=True)


def calibration(finder, figure: str | None) -> None:
    """Share of real sources in bins of equal counts, on skies of four kinds."""
    probability, true = [], []
    for preset, size, seeds in (("sdc1", 512, 4), ("crowded", 384, 2), ("extended", 512, 6), ("compact", 512, 6)):
        for seed in range(810001, 810001 + seeds):
            sky = simulate_radio(preset=preset, size=size, seed=seed)
            detections = finder.find(sky.image)
            matched = evaluate_sources(detections.catalog, sky.truth, image=sky.image).matches.found
            probability.append(np.asarray(detections.catalog["probability"]))
            true.append(np.isin(np.arange(len(detections)), matched))
    probability, true = np.concatenate(probability), np.concatenate(true)
    groups = np.array_split(np.argsort(probability, kind="stable"), BINS)
    said = np.array([probability[group].mean() for group in groups])
    share = np.array([true[group].mean() for group in groups])
    for one, other in zip(said, share, strict=True):
        print(f"probability {one:.3f}: {other:.3f} are real")
    print(f"calibration: expected error {np.mean(np.abs(said - share)):.4f}, {probability.size} detections")
    if figure:
        draw(said, share, figure)


def draw(said: np.ndarray, share: np.ndarray, path: str) -> None:
    """The reliability diagram."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axes.plot(said, share, "o-", color="#0072b2")
    axes.set(xlabel="probability in the catalogue", ylabel="share that is real", xlim=(0, 1), ylim=(0, 1), aspect=1)
    figure.savefig(path)


def vast(finder) -> None:
    """Every source of the list, and what else is found."""
    for epoch in ("epoch01", "epoch02"):
        path = real(f"vast/{epoch}.fits")
        image = astroseg.read_image(path)
        truth = read_truth(path.with_suffix(".selavy.components.txt"), image=image)
        scores = evaluate_sources(finder.find(image).catalog, truth.catalog, image=image)
        extra = scores.n_found - len(scores.matches.found)
        print(f"{path.name}: {len(scores.matches.found)} of {len(truth)} found, {extra} more")


CHECKS = {"noise": noise, "inverted": inverted, "calibration": calibration, "vast": vast}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", choices=[*CHECKS, []], default=[], metavar="CHECK", help="default: all")
    parser.add_argument("--backend", default="unet", metavar="NAME[:key=value,...]")
    parser.add_argument("--figure", metavar="FILE", help="of the calibration")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstrosegWarning)
    for name in options.checks or CHECKS:
        text = options.backend
        if name == "calibration" and "min_probability" not in text:
            text += f"{',' if ':' in text else ':'}min_probability=0.1"
        finder = parse_backends(text)[0].finder
        if name == "calibration":
            calibration(finder, options.figure)
        else:
            CHECKS[name](finder)


if __name__ == "__main__":
    main()
