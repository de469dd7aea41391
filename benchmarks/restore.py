"""Restored images against the truth: networks and CLEAN on simulated flares, real ones and simulated radio fields.

Flares are those of `astroseg.simulate.simulate_xray`, as many of one, two and three sources, none of which a network
was trained on; a truth is the sky at CLEAN's beam. CLEAN is run for 50 to 1,000 points, its residuals are added, and
the number that is best over all flares counts. Errors are root mean squares over that of an empty map. A source is
recovered where a local maximum above 15 % of the highest lies within half a beam of it.

Usage: python benchmarks/restore.py flares [--sets 300] [--workers 2] [--weights pix2pix=FILE] [--weights unrolled=FILE]
       python benchmarks/restore.py radio [--sets 50]
       python benchmarks/restore.py time
       ASTROSEG_REAL_DATA=FOLDER python benchmarks/restore.py real [--figure FILE.png]
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from scipy.ndimage import maximum_filter

import astroseg
from astroseg.clean import hogbom
from astroseg.dirty import DirtyImage
from astroseg.evaluate import evaluate_sources
from astroseg.evaluate.estimates import Bootstrap
from astroseg.evaluate.matching import match_sources
from astroseg.plugins import get_restorer
from astroseg.simulate.array import simulate_array
from astroseg.simulate.xray import simulate_xray
from astroseg.visibilities import dirty_map, grid
from astroseg.visibility_files import read_visibilities

FIRST = 500_000  # seed of the first flare
POINTS = (50, 100, 200, 500, 1000)
NETWORKS = ("pix2pix", "unrolled")
PEAK = 0.15  # of the highest: the lowest local maximum that is a source
BRIGHT = 0.4  # the same in real flares, whose truth is not known
REAL = Path(os.environ.get("ASTROSEG_REAL_DATA", ""))


@dataclass
class Result:
    """What a method makes of one dirty image."""

    model: np.ndarray
    restored: np.ndarray
    chi2: float


def clean_results(dirty: DirtyImage) -> Iterator[tuple[str, Result]]:
    """CLEAN after each number of points."""
    model, residual, done = np.zeros(dirty.data.shape), dirty.data.astype(float), 0
    for points in POINTS:
        more, residual = hogbom(residual, dirty.psf, niter=points - done)
        model, done = model + more, points
        restored = dirty.restored(model, residual)
        yield f"CLEAN({points})", Result(model, restored.data, chi2(restored))


def network_results(dirty: DirtyImage, weights: dict[str, str]) -> Iterator[tuple[str, Result]]:
    """The networks, without and with what they leave unexplained."""
    for name, path in weights.items():
        restored = get_restorer(name, weights=path).restore(dirty.image)
        model, left = restored.meta["model"], chi2(restored)
        yield name, Result(model, restored.data, left)
        yield f"{name} + residual", Result(model, restored.data + restored.meta["residual"], left)


def chi2(restored: CCDData) -> float:
    return restored.meta["fidelity"].get("chi2", np.nan)


def best_scale(values: np.ndarray, target: np.ndarray) -> float:
    """The factor that makes the mean absolute error smallest: a weighted median of ratios."""
    weight, ratio = np.abs(values).ravel(), (target / np.where(values == 0, 1, values)).ravel()
    order = np.argsort(ratio)
    half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(ratio[order][half])


def scaled_error(values: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean(np.abs(best_scale(values, target) * values - target)))


def nrmse(values: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((values - truth) ** 2) / np.mean(truth**2)))


def peaks(values: np.ndarray, reach: int, least: float = PEAK) -> dict[str, np.ndarray]:
    """Local maxima above a share of the highest."""
    highest = maximum_filter(values, 2 * reach + 1)
    y, x = np.nonzero((values == highest) & (values > least * values.max()))
    return {"x_centroid": x.astype(float), "y_centroid": y.astype(float)}


def flares(sets: int, weights: dict[str, str], workers: int) -> None:
    rows: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    with ProcessPoolExecutor(workers) as pool:
        for scores in pool.map(_flare, range(sets), [weights] * sets):
            for name, values in scores.items():
                for key, value in values.items():
                    rows[name][key].append(value)
    _print_flares(rows)


def _flare(index: int, weights: dict[str, str]) -> dict[str, dict[str, object]]:
    """Scores of all methods on one flare."""
    number = 1 + index % 3
    sky = simulate_xray(seed=FIRST + index, sources=number)
    dirty, truth = DirtyImage.of(sky.image), sky.model.astype(float)
    beam = float(dirty.beam.major / dirty.pixel)
    results = dict(clean_results(dirty)) | dict(network_results(dirty, weights))
    empty = np.zeros_like(truth)
    results |= {
        "dirty": Result(empty, dirty.data, dirty.fidelity(empty)["chi2"]),
        "truth": Result(empty, truth, np.nan),
    }
    true = {name: sky.truth[name].value for name in ("x_centroid", "y_centroid")}
    highest = np.array(np.unravel_index(truth.argmax(), truth.shape))
    scores = {}
    for name, result in results.items():
        found = peaks(result.restored, round(beam / 3))
        matched = len(match_sources(found, true, radius=beam / 2 * u.pix).separation)
        scores[name] = {
            "nrmse": nrmse(result.restored, truth),
            "mean_error": np.mean(np.abs(result.restored - truth)) / truth.max(),
            "to_clean": {key: scaled_error(result.restored, results[key].restored) for key in CLEANS},
            "peak": np.hypot(*(np.unravel_index(np.argmax(result.restored), truth.shape) - highest)),
            "flux": result.model.sum() / sky.truth["simulate_counts"].sum(),
            "chi2": result.chi2,
            "counts": (matched, len(found["x_centroid"]) - matched, number - matched),
            "number": number,
        }
    return scores


CLEANS = [f"CLEAN({points})" for points in POINTS]


def _print_flares(rows) -> None:
    mean = {name: float(np.mean(row["nrmse"])) for name, row in rows.items()}
    best = min(CLEANS, key=mean.__getitem__)
    oracle = np.min([rows[name]["nrmse"] for name in CLEANS], axis=0)
    print(f"{len(rows['dirty']['nrmse'])} flares; the best CLEAN is {best}, NRMSE {mean[best]:.4f}; ", end="")
    print(f"with the best number of points for each flare {oracle.mean():.4f}")
    head = ("NRMSE", "/CLEAN", "|err|/peak", "L1/dirty's", "peak px", "flux", "off>10%", "chi2", "compl.", "reliab.")
    print(f"{'':22}" + "".join(f"{word:>11}" for word in head))
    dirty = np.mean([item[best] for item in rows["dirty"]["to_clean"]])
    for name, row in rows.items():
        to_clean = np.mean([item[best] for item in row["to_clean"]]) / dirty
        tp, fp, fn = np.sum(row["counts"], axis=0)
        flux = np.array(row["flux"])
        values = (
            mean[name], mean[name] / mean[best], np.mean(row["mean_error"]), to_clean, np.median(row["peak"]),
            np.median(flux), np.mean(np.abs(flux - 1) > 0.1), np.median(row["chi2"]), tp / (tp + fn), tp / (tp + fp),
        )  # fmt: skip
        print(f"{name:22}" + "".join(f"{value:11.4f}" for value in values))
    print("\nall sources recovered, of the flares where CLEAN recovers all (and of all flares), by number of sources")
    number = np.array(rows[best]["number"])
    all_by_clean = np.array([fn == 0 for _, _, fn in rows[best]["counts"]])
    for name, row in rows.items():
        everything = np.array([fn == 0 for _, _, fn in row["counts"]])
        texts = []
        for count in (1, 2, 3):
            both = (number == count) & all_by_clean
            texts.append(f"{everything[both].mean():6.1%} ({everything[number == count].mean():6.1%})")
        print(f"{name:22}" + "   ".join(texts))


def radio(sets: int, weights: dict[str, str]) -> None:
    counts: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(3))
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for index in range(sets):
        array = ("vla", "meerkat")[index % 2]
        sky = simulate_array(array=array, size=192, seed=FIRST + index)
        clean = get_restorer("clean", niter=20_000, threshold=3.0)
        results = {"dirty": sky.image, "CLEAN": clean.restore(sky.image)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, path in weights.items():
                results[name] = get_restorer(name, weights=path, residuals=True).restore(sky.image)
            for name, restored in results.items():
                found = astroseg.find(restored, "peaks")
                scored = evaluate_sources(found.catalog, sky.truth, image=sky.image, bootstrap=Bootstrap(n_resamples=2))
                counts[array, name] += (scored.counts.tp, scored.counts.fp, scored.counts.fn)
                errors[array, name].append(nrmse(restored.data, sky.model))
    print(f"{sets} radio fields, the finder peaks, sources of S/N 5 and more")
    for (array, name), (tp, fp, fn) in counts.items():
        median = np.median(errors[array, name])
        print(f"{array:8} {name:10} F1 {2 * tp / (2 * tp + fp + fn):.3f}  completeness {tp / (tp + fn):.3f}  ", end="")
        print(f"reliability {tp / (tp + fp):.3f}  median NRMSE {median:.4f}")


def timing(weights: dict[str, str]) -> None:
    sky = simulate_xray(seed=FIRST)
    dirty = DirtyImage.of(sky.image)
    print("milliseconds of processor for an image of 129 x 129 pixels, best of 5")
    for points in (100, 1000):
        print(f"CLEAN({points}) in arrays  {_best(lambda n=points: hogbom(dirty.data, dirty.psf, niter=n)):8.1f}")
    for name, path in weights.items():
        restorer = get_restorer(name, weights=path)
        print(f"{name}, with its files and fidelity  {_best(lambda r=restorer: r.restore(sky.image)):8.1f}")
        from astroseg_networks.runtime import open_runtime

        network = open_runtime(path, name, "cpu", restorer.build, maps={"model": 1})
        planes, side = (2, 128) if name == "pix2pix" else (3, 136)
        for batch in (1, 32):
            images = np.zeros((batch, planes, side, side), dtype="f4")
            spent = _best(lambda n=network, i=images: n(i)) / batch * (1 if name == "pix2pix" else 3)
            print(f"{name}, the network alone, {batch:2} at a time  {spent:8.1f}")
    _time_xrayvision(sky)


def _time_xrayvision(sky) -> None:
    try:
        from xrayvision.clean import vis_clean
        from xrayvision.mem import mem
        from xrayvision.visibility import Visibilities as Theirs
    except ImportError:
        print("xrayvision is not installed (pip install xrayvisim)")
        return
    logging.disable(logging.INFO)
    seen = sky.image.meta["visibilities"]
    theirs = Theirs(seen.value * u.ct, seen.u / u.arcsec, seen.v / u.arcsec)
    pixel, shape = [2.0, 2.0] * u.arcsec / u.pix, [129, 129] * u.pix
    runs: dict[str, Callable[[], object]] = {
        f"CLEAN({points})": lambda n=points: vis_clean(
            theirs, shape=shape, pixel_size=pixel, clean_beam_width=14.7 * u.arcsec, niter=n
        )
        for points in (100, 1000)
    }
    runs["MEM"] = lambda: mem(theirs, shape=shape, pixel_size=pixel)
    for name, run in runs.items():
        try:
            print(f"{name} of xrayvision  {_best(run, 1):8.1f}", flush=True)
        except Exception as error:  # noqa: BLE001 -- whatever it does, the others go on
            print(f"{name} of xrayvision: {type(error).__name__}: {error}")


def _best(run: Callable[[], object], repeats: int = 5) -> float:
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return 1e3 * min(spent)


def real(weights: dict[str, str], figure: str) -> None:
    """Four sets of STIX, its visibilities in a table, and an arc that RHESSI saw."""
    from matplotlib.figure import Figure

    files = [*sorted((REAL / "solar/stix/pairs_20200607").glob("*.gz"))]
    files += [REAL / "solar/stix/vis/stix_20200607_6-10keV_vis.ecsv"]
    files += [REAL / "solar/rhessi/hsi_visibili_20131028_0156_20131028_0200_6_12.fits"]
    page = Figure(figsize=(14, 3.4 * len(files)), layout="constrained")
    axes = page.subplots(len(files), 2 + len(weights))
    for row, path in zip(axes, files, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen = read_visibilities(path)
            # The finest grids of RHESSI saw noise alone.
            stix = "stix" in path.name
            seen = seen if stix else seen.resolving(6.0)
            size, pixel = (129, 2.0) if stix else (129, 1.0)
            image = dirty_map(seen, (size, size), grid(seen, size, pixel))
            image = astroseg.read_image(image)
            beam = float(seen.beam.major.value / pixel)
            maps = {"dirty": image, "CLEAN": get_restorer("clean").restore(image)}
            maps |= {name: get_restorer(name, weights=where).restore(image) for name, where in weights.items()}
        theirs = peaks(maps["CLEAN"].data, round(beam / 2), BRIGHT)
        brightest = np.array(np.unravel_index(np.argmax(maps["CLEAN"].data), image.shape))
        print(f"{path.name}: {size} pixels of {pixel:g} arcsec, {seen.u.size} visibilities")
        for axis, (name, one) in zip(row, maps.items(), strict=True):
            axis.imshow(one.data, origin="lower", cmap="magma")
            axis.set_axis_off()
            fidelity = one.meta.get("fidelity", DirtyImage.of(image).fidelity(np.zeros(image.shape)))
            text = f"chi2 {fidelity['chi2']:.2f}" if "chi2" in fidelity else f"residual {fidelity['residual_rms']:.3g}"
            axis.set_title(f"{name}: {text}", fontsize=9)
            apart = match_sources(peaks(one.data, round(beam / 2), BRIGHT), theirs, radius=beam * u.pix).separation
            place = np.array(np.unravel_index(np.argmax(one.data), image.shape))
            moved = np.hypot(*(place - brightest))
            number, distance = theirs["x_centroid"].size, np.round(apart.value, 1)
            print(f"  {name:9} {text}; brightest {moved:.1f} px from CLEAN's; ", end="")
            print(f"source {np.hypot(*(_source(one) - _source(maps['CLEAN']))):.1f} px; ", end="")
            print(f"{len(distance)} of {number} peaks, {distance} px apart")
    page.savefig(figure, dpi=70)
    print(figure)


def _source(image) -> np.ndarray:
    """Centroid of the source of most flux, as `sigma` lists it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = astroseg.find(astroseg.standardize(image, "constant"), "sigma", threshold=5).catalog
    row = catalog[np.argmax(catalog["flux"])]
    return np.array([row["x_centroid"].value, row["y_centroid"].value])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flares", "radio", "time", "real"))
    parser.add_argument("--sets", type=int)
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--figure", default="restore.png")
    given = parser.parse_args()
    weights = {name: name for name in NETWORKS} | dict(item.split("=") for item in given.weights)
    if given.what == "flares":
        flares(given.sets or 300, weights, given.workers)
    elif given.what == "radio":
        radio(given.sets or 50, weights)
    elif given.what == "time":
        timing(weights)
    else:
        real(weights, given.figure)


if __name__ == "__main__":
    main()
