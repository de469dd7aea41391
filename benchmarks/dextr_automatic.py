"""dextr without a person: how good the points are that contours propose, and how well objects that touch are parted.

    proposals  objects of at least 40 pixels in simulated images: full disks of the Sun (spots, coronal holes, ribbons
               and filaments), radio and optical sources of a peak S/N of 5 to 30. An object is found where the box of a
               proposal overlaps its own by half or more. Errors are distances, in pixels, of its four points from the
               true ones, and of its four sides from the true ones. IoU of the outlines, of those that were found, with
               the proposed points and with the true ones
    groups     two to eight spots that touch, from their own extreme points: panoptic quality of all groups together

Usage: python benchmarks/dextr_automatic.py [ROW ...] [--images 60] [--weights FILE]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
from astropy.nddata import CCDData
from astroseg_networks.dextr_finder import DEXTRFinder
from astroseg_networks.dextr_task import overlap
from astroseg_networks.irregular_scenes import draw_scene
from astroseg_networks.irregular_shapes import random_field, random_level
from astroseg_networks.outline import outline
from astroseg_networks.prompts import extreme_points
from astroseg_networks.proposals import propose
from scipy import ndimage

from astroseg import read_image, standardize
from astroseg.errors import AstrosegWarning
from astroseg.evaluate import Counts, PanopticQuality, panoptic_quality
from astroseg.simulate.solar import simulate_solar

BENCHMARK = 3
LEAST = 40  # pixels, of what is proposed
DISK = 1024  # pixels
POLARITY = {"continuum": "dark", "euv": "dark", "chromosphere": "both"}
DARK = ("coronal hole",)  # of the corona, active regions are not asked for


def disks(channel: str, count: int) -> Iterator[tuple[CCDData, np.ndarray]]:
    """Full disks, and their labels."""
    for seed in range(max(count // 6, 1)):
        sky = simulate_solar(size=DISK, seed=20_000 + seed, channel=channel)
        kept = sky.truth["label"]
        if channel == "euv":
            kept = kept[np.isin(sky.truth["simulate_kind"], DARK)]
        yield sky.image, np.where(np.isin(sky.labels, kept), sky.labels, 0)


def scenes(domain: str, count: int) -> Iterator[tuple[CCDData, np.ndarray]]:
    """Single sources, and their masks."""
    for index in range(count):
        scene = draw_scene(np.random.default_rng([0, index, BENCHMARK]), domain, snr=(5.0, 30.0))
        yield read_image(scene.image), scene.mask.astype(np.int32)


def proposals(finder: DEXTRFinder, count: int) -> None:
    """Print the errors of the points."""
    for channel, polarity in POLARITY.items():
        _proposals(f"Sun, {channel}", disks(channel, count), polarity, finder)
    for domain in ("radio", "optical"):
        _proposals(domain, scenes(domain, count), "bright", finder)


def _proposals(title, images, polarity, finder) -> None:
    points, sides, automatic, true, number = [], [], [], [], 0
    for image, labels in images:
        found = propose(standardize(read_image(image), "constant"), polarity, LEAST)
        boxes = np.array([item.prompt.bounds for item in found]).reshape(-1, 4)
        for label in np.unique(labels[labels > 0]):
            mask = labels == label
            if np.count_nonzero(mask) < LEAST:
                continue
            number += 1
            own = extreme_points(*np.nonzero(mask))
            bounds = np.concatenate([own.min(axis=0), own.max(axis=0)])
            overlaps = _boxes_overlap(boxes, bounds)
            if not (overlaps >= 0.5).any():
                continue
            prompt = found[int(np.argmax(overlaps))].prompt
            points += np.hypot(*(prompt.points - own).T).tolist()
            sides += np.abs(prompt.bounds - bounds).tolist()
            for four, kept in ((prompt.points, automatic), (own, true)):
                kept.append(overlap(outline(image, points=four, finder=finder).labels(image.shape) > 0, mask))
    print(
        f"{title:18} {number:4} objects  found {len(true) / number:.2f}  median error: points {np.median(points):.1f}, "
        f"sides {np.median(sides):.1f}  IoU: proposed {np.mean(automatic):.3f}, true points {np.mean(true):.3f}",
        flush=True,
    )


def _boxes_overlap(boxes, bounds) -> np.ndarray:
    """Intersection over union of boxes with one."""
    low, high = np.fmax(boxes[:, :2], bounds[:2]), np.fmin(boxes[:, 2:], bounds[2:])
    both = np.prod(np.fmax(high - low + 1, 0), axis=1)
    areas = [np.prod(box[..., 2:] - box[..., :2] + 1, axis=-1) for box in (boxes, bounds)]
    return both / (areas[0] + areas[1] - both)


def draw_group(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spots with penumbrae that touch, on a rough surface, and their labels."""
    number, size = int(rng.integers(2, 9)), 40.0
    width = int(size * (2 + np.sqrt(number)))
    shape = (width, width)
    heights = np.zeros((number + 1, *shape), dtype=np.float32)
    place = np.full(2, width / 2)
    for index in range(number):
        heights[index + 1] = random_level(rng, shape, tuple(place), size * rng.uniform(0.7, 1.2))
        angle = rng.uniform(0, 2 * np.pi)
        step = place + 1.05 * size * np.array([np.cos(angle), np.sin(angle)])
        place = np.where((step > size) & (step < width - size), step, 2 * place - step)
    labels = np.argmax(heights, axis=0).astype(np.int32)
    for label in range(1, number + 1):
        parts, many = ndimage.label(labels == label, np.ones((3, 3)))
        if many > 1:
            labels[(parts > 0) & (parts != 1 + np.argmax(np.bincount(parts.ravel())[1:]))] = 0
    bright = np.where(labels == 0, 1, np.where(heights.max(axis=0) > 0.45, 0.3, 0.75)).astype(np.float32)
    surface = 0.03 * random_field(rng, shape, 1.0)
    return ndimage.gaussian_filter(bright, 0.8) + surface, labels


def groups(finder: DEXTRFinder, count: int) -> None:
    """Print the panoptic quality."""
    counts, iou_sum = Counts(0, 0, 0), 0.0
    for index in range(count):
        image, labels = draw_group(np.random.default_rng([1, index, BENCHMARK]))
        labels[(np.bincount(labels.ravel()) < LEAST)[labels]] = 0
        four = [extreme_points(*np.nonzero(labels == label)) for label in np.unique(labels[labels > 0])]
        quality = panoptic_quality(labels, finder.find(image, points=four).labels)
        counts, iou_sum = counts + quality.counts, iou_sum + quality.iou_sum
    total = PanopticQuality(counts, iou_sum)
    print(
        f"{count} groups, {counts.tp + counts.fn} spots that touch: panoptic quality {total.quality:.3f} "
        f"(mean IoU {total.segmentation:.3f}, F1 {total.recognition:.3f})"
    )


ROWS = {"proposals": proposals, "groups": groups}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--images", type=int, default=60, help="of each kind, of the Sun a sixth; default: 60")
    parser.add_argument("--weights", default="dextr", help="default: those that ship")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {unknown[0]}")
    warnings.simplefilter("ignore", AstrosegWarning)
    for name in options.rows or ROWS:
        ROWS[name](DEXTRFinder(weights=options.weights), options.images)


if __name__ == "__main__":
    main()
