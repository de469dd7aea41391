"""The sub-scores of SDC1 of two finders, on the sources that both of them match.

On its own matches a finder that finds only bright sources has the better sub-scores, as these are easier to measure.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/subscores.py [--backends unet,bdsf:preset=tuned]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from astropy.table import Table
from skies import west

from astroseg.compare import parse_backends
from astroseg.errors import AstrosegWarning
from astroseg.evaluate import sdc1_score
from astroseg.evaluate.sdc1_list import sdc1_list

NAMES = ("position", "flux", "b_maj", "b_min", "pa", "core_frac", "class")


def differences(terms: list[np.ndarray]) -> tuple[float, float]:
    """95 % interval of the mean difference of two scores of the same sources."""
    difference = terms[0] - terms[1]
    resampled = np.random.default_rng(0).choice(difference, (2000, difference.size)).mean(axis=1)
    return tuple(np.quantile(resampled, (0.025, 0.975)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="unet,bdsf:preset=tuned", metavar="LIST", help="two finders")
    warnings.simplefilter("ignore", AstrosegWarning)
    sky = west()[0]
    official, beam = sky.sdc1
    backends = parse_backends(parser.parse_args().backends)
    lists = [sdc1_list(backend.finder.find(sky.field.image).catalog, beam) for backend in backends]
    scores = [sdc1_score(found, official) for found in lists]
    common = np.intersect1d(*(score.truth for score in scores))
    terms = [one_by_one(found, official, score, common) for found, score in zip(lists, scores, strict=True)]
    for backend, score in zip(backends, scores, strict=True):
        own = "  ".join(f"{name} {score.subscores[name]:.3f}" for name in NAMES)
        print(f"{backend.label}: score {score.score:.1f}, {score.n_match} matches: {own}")
    print(f"On the {common.size} sources that both match:")
    for name in NAMES:
        one, other = (term[name] for term in terms)
        low, high = differences([one, other])
        print(f"  {name:9}  {one.mean():.3f}  {other.mean():.3f}  difference {low:+.3f} to {high:+.3f}")


def one_by_one(found: Table, official: Table, score, common: np.ndarray) -> dict[str, np.ndarray]:
    """Sub-scores of the detections that match these sources, one source at a time."""
    rows = dict(zip(score.truth, score.found, strict=True))
    parts = [sdc1_score(found[[rows[j]]], official[[j]], null_shift=None).subscores for j in common]
    return {name: np.array([part[name] for part in parts]) for name in NAMES}


if __name__ == "__main__":
    main()
