"""The autoencoders of astroseg-networks: figures of single patches, and of whole fields.

Patches come from simulated skies that no training draws, with beams of 2 to 6 pixels. An isolated source has a peak of
at least 5 times the noise, lies as a whole in 16 x 16 pixels around its peak, and has no other source there. The mask
is where the noise-free sky is brighter than twice the noise; all thresholds are 0.5.

``dice``: mean over the isolated sources, of 16 x 16 pixels. ``IoU``: of all pixels within the inner 28 x 28 of random
patches of 60 x 60 together, where all patches of the VAE lie inside. ``active``, ``nats``: units of the latent vector
whose mean has a variance above 0.01 over random patches (Burda et al. 2016), and their divergence from a standard
normal. ``one blob``: share of the masks drawn for isolated sources that are a single connected one.

Usage: python benchmarks/patch_networks.py [--skies 200] [--fields DIR] (DIR holds the
simulated fields of skies.py; ``west`` among the --groups needs ASTROSEG_REAL_DATA)
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from astroseg_networks.cae_finder import CAEFinder
from astroseg_networks.patch_finder import PatchFinder
from astroseg_networks.patch_skies import SKY, draw_patches, draw_wide_sky
from astroseg_networks.patches import average_patches
from astroseg_networks.runtime import open_runtime
from astroseg_networks.vae_finder import LATENT, VAEFinder
from scipy import ndimage
from skies import Sky, make_skies

import astroseg
from astroseg.errors import AstrosegWarning
from astroseg.evaluate import Bootstrap, evaluate_pixels, evaluate_sources
from astroseg.evaluate.sdc1 import sdc1_score
from astroseg.evaluate.sdc1_list import sdc1_list
from astroseg.threshold import SigmaFinder

ISOLATED, RANDOM = 2, 3  # trainings and their validation draw from other seeds
SMALL, LARGE = 16, 60
SAMPLES = 20
FEW = Bootstrap(n_resamples=2)  # no intervals are printed


def isolated(skies: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of 60 x 60 pixels around isolated sources, and the masks of their inner 16 x 16."""
    pairs = [pair for seed in range(skies) for pair in _isolated(np.random.default_rng([0, seed, ISOLATED]))]
    images, masks = zip(*pairs, strict=True)
    return np.stack(images), np.stack(masks)


def _isolated(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    field, image = draw_wide_sky(rng)
    snr = np.where(field.labels > 0, field.model / field.rms, 0)
    numbers = np.unique(field.labels[field.labels > 0])
    pixels = np.bincount(field.labels.ravel())
    for number, (y, x) in zip(numbers, ndimage.maximum_position(snr, field.labels, numbers), strict=True):
        if snr[y, x] < 5 or not LARGE // 2 <= min(y, x) <= max(y, x) <= SKY - LARGE // 2:
            continue
        inner, outer = (
            (slice(y - size // 2, y + size // 2), slice(x - size // 2, x + size // 2)) for size in (SMALL, LARGE)
        )
        mask = field.labels[inner] == number
        alone = np.count_nonzero(field.labels[inner]) == np.count_nonzero(mask) == pixels[number]
        if alone and np.isfinite(field.data[outer]).all():
            yield image[outer], mask


def probability(finder: PatchFinder, patches: np.ndarray) -> np.ndarray:
    """What a finder says of patches, of whatever size."""
    runtime = open_runtime(finder.weights, finder.architecture, finder.device, finder.build)
    if patches.shape[1] == finder.size:
        parts = [patches[first : first + finder.batch] for first in range(0, len(patches), finder.batch)]
        return np.concatenate([finder.run(runtime, part)["probability"] for part in parts])
    run, step = partial(finder.run, runtime), finder.size // 2
    maps = [average_patches(run, patch, size=finder.size, step=step, batch=finder.batch) for patch in patches]
    return np.stack([one["probability"] for one in maps])


def inner(patches: np.ndarray, size: int) -> np.ndarray:
    """The inner pixels of patches."""
    edge = (patches.shape[1] - size) // 2
    return patches[:, edge : edge + size, edge : edge + size]


def dice(found: np.ndarray, true: np.ndarray) -> float:
    """Mean over the patches."""
    return float(np.mean(2 * (found & true).sum(axis=(1, 2)) / (found.sum(axis=(1, 2)) + true.sum(axis=(1, 2)))))


def iou(found: np.ndarray, true: np.ndarray) -> float:
    """Of all pixels together."""
    return np.count_nonzero(found & true) / np.count_nonzero(found | true)


def latent_figures(finder: VAEFinder, sources: np.ndarray, skies: int) -> dict[str, float]:
    """How much the latent vector says, and how whole the masks drawn from it are."""
    runtime = open_runtime(finder.weights, finder.architecture, finder.device, finder.build)
    random = [draw_patches(np.random.default_rng([1, seed, RANDOM]), SMALL, 64)["image"] for seed in range(skies)]
    answers = [runtime(_planes(patches)) for patches in random]
    mean, log_variance = (np.concatenate([answer[name] for answer in answers]) for name in ("mean", "log_variance"))
    draws = np.random.default_rng(0).standard_normal((SAMPLES, len(sources), LATENT), dtype=np.float32)
    drawn = np.concatenate([runtime(_planes(sources, noise))["segmentation"][:, 0] > 0 for noise in draws])
    blobs = np.array([ndimage.label(mask, np.ones((3, 3)))[1] for mask in drawn])
    return {
        "active": int(np.count_nonzero(mean.var(axis=0) > 0.01)),
        "nats": float(np.mean(np.sum(mean**2 + np.exp(log_variance) - log_variance - 1, axis=1)) / 2),
        "one blob": float(np.mean(blobs == 1)),
    }


def _planes(patches: np.ndarray, noise: np.ndarray | float = 0.0) -> np.ndarray:
    planes = np.zeros((len(patches), 2, SMALL, SMALL), dtype=np.float32)
    planes[:, 0], planes[:, 1, 0] = patches, noise
    return planes


def show_patches(finders: dict[str, PatchFinder], skies: int) -> None:
    """Print the figures of single patches."""
    images, masks = isolated(skies)
    random = [draw_patches(np.random.default_rng([0, seed, RANDOM]), LARGE, 4) for seed in range(skies)]
    wide, true = (np.concatenate([patches[name] for patches in random]) for name in ("image", "segmentation"))
    print(f"{len(images)} isolated sources, {len(wide)} random patches")
    print(f"{'':12} {'dice':>6} {'IoU':>6} {'active':>7} {'nats':>6} {'one blob':>9}")
    for name, finder in finders.items():
        around = inner(images, finder.size)
        values = {
            "dice": dice(inner(probability(finder, around), SMALL) > 0.5, masks),
            "IoU": iou(inner(probability(finder, wide), 28) > 0.5, inner(true, 28) > 0),
        }
        if isinstance(finder, VAEFinder):
            values |= latent_figures(finder, around, skies)
        texts = [f"{values[key]:.3f}" if key in values else "" for key in ("dice", "IoU", "active", "nats", "one blob")]
        print(f"{name:12} {texts[0]:>6} {texts[1]:>6} {texts[2]:>7} {texts[3]:>6} {texts[4]:>9}", flush=True)


def show_fields(finders: dict[str, astroseg.SourceFinder], skies: dict[str, list[Sky]]) -> None:
    """Print the figures of whole fields: means over the fields of a group."""
    print(f"\n{'':10} {'':10} {'found':>6} {'F1':>6} {'C@95%':>6} {'null':>6} {'IoU':>6} {'SDC1':>6} {'s':>6}")
    for group, fields in skies.items():
        for name, finder in finders.items():
            found, f1, complete, null, overlap, score, seconds = np.mean(
                [_field(finder, sky) for sky in fields], axis=0
            )
            print(
                f"{group:10} {name:10} {found:6.0f} {f1:6.3f} {complete:6.3f} {null:6.3f} {overlap:6.3f} {score:6.0f} "
                f"{seconds:6.2f}",
                flush=True,
            )


def _field(finder, sky: Sky) -> list[float]:
    start = time.perf_counter()
    found = finder.find(sky.field.image)
    seconds = time.perf_counter() - start
    truth = sky.field.truth
    sources = evaluate_sources(found.catalog, truth.catalog, image=sky.field.image, bootstrap=FEW)
    overlap = evaluate_pixels(truth.labels, found.labels, valid=sky.field.valid, bootstrap=FEW).counts.iou
    score = np.nan
    if sky.sdc1 is not None:
        official, beam = sky.sdc1
        score = sdc1_score(sdc1_list(found.catalog, beam), official).score
    scores = [sources.scores[name].value for name in ("f1", "completeness_at_95", "null_rate")]
    return [len(found), *scores, overlap, score, seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skies", type=int, default=200, help="to take patches from; default: 200")
    parser.add_argument("--fields", type=Path, metavar="DIR", help="also whole fields; simulated ones are kept here")
    parser.add_argument("--most", type=int, default=5, metavar="N", help="fields of each group; default: 5")
    parser.add_argument("--groups", nargs="+", default=["sparse"], help="of benchmarks/skies.py; default: sparse")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstrosegWarning)
    networks = {"vae": VAEFinder(), "vae-prior": VAEFinder(weights="vae-prior"), "cae": CAEFinder()}
    show_patches(networks, options.skies)
    if options.fields:
        yen = {"vae, yen": VAEFinder(method="yen"), "cae, yen": CAEFinder(method="yen")}
        levels = {f"sigma, {level:g}": SigmaFinder(threshold=level, flood=2.0) for level in (3.0, 4.0, 5.0)}
        skies = {group: make_skies(group, options.fields)[: options.most] for group in options.groups}
        show_fields(networks | yen | levels, skies)


if __name__ == "__main__":
    main()
