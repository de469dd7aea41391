"""dextr: how well it outlines simulated and real objects, beside what needs no training, and how fast it is.

    simulated  unseen irregular objects of each domain, peak S/N 3 to 30
    jitter     the same, with points off by up to 3 pixels, and with boxes, tight and 20 % too large on each side
    sunspots   HMI SHARP 377: 13 spots; points from the truth, and automatic; umbrae by themselves
    holes      AIA 193 of 2013-06-24: points from each human's polygon, and automatic, against their consensus
    galaxy     the FR II galaxy of FIRST with its polygon
    hek        the polygons of the HEK of 2013-02-01, to masks and back
    ribbons    flare ribbons, 30 % saturated, beside the best single threshold for all frames
    speed      from a click to its outline, on an image of 4096 x 4096 pixels

IoU is the intersection over the union of two masks. "best threshold" is the best of all thresholds of each object's own
crop, found with its truth at hand; "one threshold" is the one that suits all objects of a line best. Real data need
ASTROSEG_REAL_DATA.

Usage: python benchmarks/dextr.py [ROW ...] [--objects 200] [--weights FILE] [--figure PNG]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.io import fits
from astroseg_networks.dextr_finder import DEXTRFinder
from astroseg_networks.dextr_task import overlap
from astroseg_networks.irregular_scenes import DOMAINS, draw_scene
from astroseg_networks.object_masks import solidity
from astroseg_networks.outline import outline
from astroseg_networks.prompt_files import outline_prompt
from astroseg_networks.prompts import Prompt, extreme_points
from dextr_baselines import BASELINES, best_threshold, fixed_thresholds
from scipy import ndimage
from scipy.ndimage import find_objects

from astroseg import read_image
from astroseg.errors import AstrosegWarning
from astroseg.simulate.solar import simulate_solar
from astroseg.truth import read_truth
from astroseg.truth.drawn import read_outlines
from astroseg.truth.outlines import Outline, draw_outlines, read_hek

BENCHMARK = 2  # trainings and their validation draw from other seeds
SNR = 3.0, 30.0
SIZES = 12, 32, 80, 400  # pixels, longest sides of objects that are counted apart
CONCAVE = 0.9  # solidity below which an object counts as concave


@dataclass(frozen=True)
class Case:
    """An object, the image that shows it, and what came out."""

    image: np.ndarray
    truth: np.ndarray
    prompt: Prompt
    found: np.ndarray

    @property
    def iou(self) -> float:
        """Overlap of what came out with the truth."""
        return overlap(self.found, self.truth)


def true_prompt(mask: np.ndarray) -> Prompt:
    """The extreme points of a mask."""
    return Prompt(points=extreme_points(*np.nonzero(mask)))


def ask(image, prompt: Prompt, finder: DEXTRFinder) -> np.ndarray:
    """The mask of one object, on the whole image."""
    answer = outline(image, points=prompt.points, box=prompt.box, finder=finder)
    return answer.labels(read_image(image).shape) > 0


def compare(cases: Iterable[Case], *, thresholds: bool = True) -> dict[str, list[float]]:
    """Overlaps of dextr and of all baselines."""
    found: dict[str, list[float]] = {"dextr": []} | {name: [] for name in BASELINES}
    fixed = []
    for case in cases:
        found["dextr"].append(case.iou)
        for name, baseline in BASELINES.items():
            found[name].append(overlap(baseline(case.image, case.prompt), case.truth))
        if thresholds:
            best = best_threshold(case.image, case.prompt, case.truth)
            found.setdefault("best threshold", []).append(overlap(best, case.truth))
            fixed.append(fixed_thresholds(case.image, case.prompt, case.truth))
    if fixed:
        found["one threshold"] = np.array(fixed)[:, np.argmax(np.mean(fixed, axis=0))].tolist()
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """Print the means."""
    texts = [f"{name} {np.mean(values):.3f}" for name, values in found.items()]
    print(f"{title:24} {len(found['dextr']):4}  " + "  ".join(texts), flush=True)


def simulated_cases(domain: str, count: int, finder: DEXTRFinder) -> Iterator[Case]:
    """Objects that no training draws."""
    for index in range(count):
        scene = draw_scene(np.random.default_rng([0, index, BENCHMARK]), domain, snr=SNR)
        prompt = true_prompt(scene.mask)
        yield Case(scene.image, scene.mask, prompt, ask(scene.image, prompt, finder))


def simulated(finder: DEXTRFinder, count: int) -> list[Case]:
    """Each domain, and the concave objects of each by themselves."""
    shown = []
    for domain in DOMAINS:
        cases = list(simulated_cases(domain, count, finder))
        found = compare(cases)
        concave = [solidity(case.truth) < CONCAVE for case in cases]
        show(domain, found)
        only = {name: np.array(values)[concave].tolist() for name, values in found.items()}
        show(f"  concave ({np.mean(concave):.0%})", only)
        shown += cases[:6]
    return shown


def jitter(finder: DEXTRFinder, count: int) -> list[Case]:
    """How much points that are off, and boxes, cost, by the length of the object in pixels."""
    print(f"{'':24} {'':4}  IoU with exact points, and what is lost: points off by up to 3 px, tight box, loose box")
    for domain in DOMAINS:
        cases = list(simulated_cases(domain, count, finder))
        lengths = np.array([np.ptp(case.prompt.points, axis=0).max() + 1 for case in cases])
        exact = np.array([case.iou for case in cases])
        lost = exact[:, None] - [_disturbed(case, index, finder) for index, case in enumerate(cases)]
        for title, low, high in ((domain, 0, np.inf), *((f"  {a} to {b} px", a, b) for a, b in pairwise(SIZES))):
            chosen = (lengths >= low) & (lengths < high)
            losses = "  ".join(f"{value:+.3f}" for value in lost[chosen].mean(axis=0))
            print(f"{title:24} {np.count_nonzero(chosen):4}  {exact[chosen].mean():.3f}  {losses}", flush=True)
    return []


def _disturbed(case: Case, index: int, finder: DEXTRFinder) -> list[float]:
    """Overlaps from points that are off, from a tight box and from a loose one."""
    rng = np.random.default_rng([0, index, BENCHMARK, 1])
    edge = np.array(case.truth.shape[::-1]) - 1
    bounds = np.reshape(case.prompt.bounds, (2, 2))
    prompts = [Prompt(points=np.clip(case.prompt.points + rng.uniform(-3, 3, (4, 2)), 0, edge))]
    for share in (0.0, 0.2):
        margin = share * (bounds[1] - bounds[0] + 1)
        prompts.append(Prompt(box=np.clip([bounds[0] - margin, bounds[1] + margin], 0, edge).ravel()))
    return [overlap(ask(case.image, prompt, finder), case.truth) for prompt in prompts]


def real(*parts: str) -> Path:
    """A file of the real data."""
    folder = os.environ.get("ASTROSEG_REAL_DATA")
    if not folder:
        sys.exit("ASTROSEG_REAL_DATA is not set: there are no real data to look at")
    return Path(folder).joinpath(*parts)


def label_cases(image, labels: np.ndarray, finder: DEXTRFinder) -> Iterator[Case]:
    """The objects of a label image, from their own extreme points."""
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        prompt = true_prompt(mask)
        yield Case(np.asarray(image.data, dtype=float), mask, prompt, ask(image, prompt, finder))


def sunspots(finder: DEXTRFinder, _: int) -> list[Case]:
    """Thirteen spots."""
    folder = ("solar", "hmi_sharp377")
    image = read_image(real(*folder, "hmi.sharp_cea_720s.377.20110215_020000_TAI.continuum.fits"))
    spots, umbra = (fits.getdata(real(*folder, "truth_sunspots.fits.gz"), number).astype(int) for number in (1, 2))
    cases = list(label_cases(image, spots, finder))
    show("spots, true points", compare(cases))
    print(" " * 31 + " ".join(f"{case.iou:.2f}" for case in cases))
    cores = ndimage.label(umbra, np.ones((3, 3)))[0]
    sizes = np.bincount(cores.ravel())
    cores[(sizes < 20)[cores]] = 0
    show("umbrae, true points", compare(label_cases(image, cores, finder)))
    automatic("spots, automatic", finder.find(image).labels, spots)
    return cases


def automatic(title: str, labels: np.ndarray, truth: np.ndarray) -> None:
    """Print how well the objects that nobody pointed at match the true ones."""
    best = []
    for label in np.unique(truth[truth > 0]):
        mask = truth == label
        there = [number for number in np.unique(labels[mask]) if number]
        best.append(max((overlap(labels == number, mask) for number in there), default=0.0))
    kept = [value for value in best if value >= 0.5]
    print(
        f"{title:24} {len(best):4}  found (IoU >= 0.5) {len(kept)}, their mean IoU {np.mean(kept or [0]):.3f}, of all "
        f"{np.mean(best):.3f}  ({labels.max()} objects)   " + " ".join(f"{value:.2f}" for value in best),
        flush=True,
    )


def holes(finder: DEXTRFinder, _: int) -> list[Case]:
    """Two coronal holes."""
    folder = ("solar", "aia193_ch_20130624")
    image = read_image(real(*folder, "aia193_20130624_1024.fits.gz"))
    truth = {name: fits.getdata(real(*folder, "truth_ch_1024.fits.gz"), name).astype(int) for name in
             ("CH_A", "CH_B", "CH_CONSENSUS")}  # fmt: skip
    consensus, cases = truth["CH_CONSENSUS"], []
    for hole, title in ((1, "central hole"), (2, "other hole")):
        mask = consensus == hole
        for human in ("CH_A", "CH_B"):
            drawn = truth[human]
            own = drawn == np.argmax(np.bincount(drawn[mask])[1:]) + 1
            prompt = true_prompt(own)
            case = Case(np.asarray(image.data, dtype=float), mask, prompt, ask(image, prompt, finder))
            show(f"{title}, points of {human}", compare([case]))
            cases.append(case)
    automatic("holes, automatic", finder.find(image).labels, consensus)
    return cases


def galaxy(finder: DEXTRFinder, _: int) -> list[Case]:
    """A radio galaxy with a polygon."""
    image = read_image(real("radio", "first", "J085556.090+491113.15.fits"))
    truth = read_truth(real("radio", "first", "J085556.090+491113.15.json"), image=image).labels
    cases = list(label_cases(image, truth, finder))
    show("FR II of FIRST", compare(cases))
    automatic("FR II, automatic", finder.find(image).labels, truth)
    return cases


def hek(*_: object) -> list[Case]:
    """Polygons to masks and back."""
    path = real("solar", "hek", "hek_spoca_20130201.json")
    image = simulate_solar(size=4096, texture=0.0).image
    for kind in ("CH", "AR"):
        outlines, _ = read_outlines(path, "hek", image, kind)
        raw = [item for item in read_hek(path) if item.kind == kind]
        scores = [_round_trip(item, image.shape) for item in outlines]
        scores = [score for score in scores if score is not None]
        prompts = [outline_prompt(item, image.shape, "it") for item in outlines]
        print(
            f"HEK {kind:20} {len(raw):4}  read; {sum(item is not None for item in prompts)} with points on the image; "
            f"polygon to mask and back: IoU {min(scores):.4f} at least, {np.mean(scores):.4f} on average"
        )
    return []


def _round_trip(item: Outline, shape) -> float | None:
    """Overlap of the mask of a polygon with the mask of that mask's outline."""
    from astroseg.contours import trace_labels

    rings = [ring for ring in item.rings if np.isfinite(ring).all()]
    if not rings:
        return None
    mask = draw_outlines(shape, [(rings, [])])
    (box, *_) = find_objects(mask) or [None]
    if box is None:
        return None
    part = mask[box]
    traced = trace_labels(part)
    back = draw_outlines(
        part.shape, [([one.vertices for one in traced if not one.hole], [one.vertices for one in traced if one.hole])]
    )
    return overlap(back > 0, part > 0)


def ribbon_frames(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of a flare with its two ribbons, and their labels; of ten frames three are saturated."""
    for seed in range(count):
        rng = np.random.default_rng([seed, BENCHMARK])
        sky = simulate_solar(size=640, seed=10_000 + seed, channel="chromosphere", saturation=1e6)
        image = np.asarray(sky.image.data, dtype=float) * rng.uniform(0.3, 3)  # exposures differ
        if seed % 10 < 3:
            image = saturated(image, rng)
        kinds = sky.truth["simulate_kind"]
        yield image, np.where(np.isin(sky.labels, sky.truth["label"][kinds == "ribbon"]), sky.labels, 0)


def saturated(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A detector whose wells are full: charge spills along the columns, and the brightest part shows a cross."""
    full = np.percentile(image, 99.95) * rng.uniform(0.3, 0.8)
    over = np.fmax(image - full, 0)
    reach = int(rng.integers(3, 15))
    image = np.fmin(image, full) + 0.5 * ndimage.uniform_filter1d(over, reach, axis=0)
    row, column = np.unravel_index(int(np.argmax(over)), over.shape)
    for axis, place in ((0, row), (1, column)):
        far = np.abs(np.arange(image.shape[1 - axis]) - (column, row)[axis])
        line = 0.3 * full * np.exp(-far / 20)
        if axis == 0:
            image[place] += line
        else:
            image[:, place] += line
    return np.fmin(image, full)


def ribbons(finder: DEXTRFinder, count: int) -> list[Case]:
    """Each ribbon by itself, and one threshold for all frames."""
    cases, areas, levels = [], [], {}
    shares = np.exp(np.linspace(np.log(1.2), np.log(30), 40))  # of the quiet Sun
    for image, labels in ribbon_frames(min(count, 100)):
        quiet = np.median(image[image > 0])
        for case in label_cases(read_image(image), labels, finder):
            if np.count_nonzero(case.truth) < 30:
                continue
            cases.append(case)
            areas.append(abs(np.count_nonzero(case.found) / np.count_nonzero(case.truth) - 1))
            left, bottom, right, top = (int(value) for value in case.prompt.bounds)
            box = np.s_[bottom : top + 1, left : right + 1]
            for share in shares:
                levels.setdefault(share, []).append(overlap(image[box] > share * quiet, case.truth[box]))
    show("ribbons", {"dextr": [case.iou for case in cases]})
    best = max(levels, key=lambda share: np.mean(levels[share]))
    print(f"{'':31}best single threshold {np.mean(levels[best]):.3f} ({best:.1f} times the quiet Sun), in the boxes")
    print(f"{'':31}median error of the area {np.median(areas):.1%}")
    return cases[:6]


def speed(finder: DEXTRFinder, _: int) -> list[Case]:
    """From a click to its outline."""
    image = read_image(np.random.default_rng(1).normal(size=(4096, 4096)).astype(np.float32))
    for side in (60, 250, 1000, 3000):
        times = []
        for _ in range(20):
            corner = np.random.default_rng(side).uniform(10, 4080 - side, 2)
            points = corner + side * np.array([[0, 0.5], [1, 0.5], [0.5, 0], [0.5, 1]])
            start = time.perf_counter()
            outline(image, points=points, finder=finder)
            times.append(time.perf_counter() - start)
        print(
            f"object of {side:5} px        {len(times):4}  median {np.median(times):.3f} s, longest {max(times):.3f} s"
        )
    return []


def draw(path: Path, cases: list[Case]) -> None:
    """Write a figure of some objects: truth in blue, answer in red, points."""
    from matplotlib.figure import Figure

    rows = -(-len(cases) // 6)
    figure = Figure(figsize=(15, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 6, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, case in zip(axes, cases, strict=False):
        left, bottom, right, top = case.prompt.bounds
        margin = 0.25 * max(right - left, top - bottom) + 5
        low, high = np.nanpercentile(case.image, [1, 99.5])
        axis.imshow(case.image, origin="lower", cmap="gray", vmin=low, vmax=high)
        for mask, color in ((case.truth, "deepskyblue"), (case.found, "red")):
            axis.contour(mask, [0.5], colors=color, linewidths=0.9)
        axis.plot(*np.transpose(case.prompt.points), "+", color="yellow")
        axis.set(xlim=(left - margin, right + margin), ylim=(bottom - margin, top + margin))
        axis.set_title(f"{case.iou:.2f}", fontsize=9)
    figure.savefig(path, dpi=90)


ROWS: dict[str, Callable[..., list[Case]]] = {
    "simulated": simulated, "jitter": jitter, "sunspots": sunspots, "holes": holes, "galaxy": galaxy, "hek": hek,
    "ribbons": ribbons, "speed": speed,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--objects", type=int, default=200, help="of each domain; default: 200")
    parser.add_argument("--weights", default="dextr", help="default: those that ship")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="some of the objects")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {unknown[0]}")
    warnings.simplefilter("ignore", AstrosegWarning)
    finder = DEXTRFinder(weights=options.weights)
    shown = [case for name in options.rows or ROWS for case in ROWS[name](finder, options.objects)]
    if options.figure and shown:
        draw(options.figure, shown)


if __name__ == "__main__":
    main()
