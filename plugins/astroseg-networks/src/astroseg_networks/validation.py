"""How well the maps of the U-Net agree with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from astroseg_networks.decoding import find_centres
from astroseg_networks.normalisation import beam_of

__all__ = ["Matches", "dice", "match_centres"]

LEAST = -4.0  # logit of the faintest peaks, those of 2 %
RADIUS = 0.5  # beams: how far from a centre it is found

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Matches:
    """Centres found, and how many there are.

    Parameters
    ----------
    score : 1-D `~numpy.ndarray`
        Logit of each centre that was found.
    real : 1-D `~numpy.ndarray` of bool
        Whether there is one, and no higher peak found it.
    number : int
        Of true centres.
    """

    score: np.ndarray
    real: np.ndarray
    number: int

    @property
    def f1(self) -> float:
        """F1 above the threshold at which it is best."""
        hits = np.cumsum(self.real[np.argsort(-self.score, kind="stable")])
        return float(np.max(2 * hits / (np.arange(1, hits.size + 1) + self.number), initial=0))


def match_centres(answers: Sequence[Arrays], truths: Sequence[Arrays]) -> Matches:
    """Look for the true centres among those that were found.

    Parameters
    ----------
    answers : sequence of dict of `~numpy.ndarray`, shape (channels, ny, nx)
        Maps of the network for each patch; see `astroseg_networks.unet.HEADS`.
    truths : sequence of dict of `~numpy.ndarray`, shape (channels, ny, nx)
        The input of the network (``image``) and the answers asked for; see `astroseg_networks.targets.source_targets`.
    """
    patches = [_matched(answer, truth) for answer, truth in zip(answers, truths, strict=True)]
    return Matches(
        np.concatenate([patch.score for patch in patches]),
        np.concatenate([patch.real for patch in patches]),
        sum(patch.number for patch in patches),
    )


def _matched(answer, truth) -> Matches:
    seen = truth["weight"][0] > 0
    beam = beam_of(truth["image"])
    found = find_centres(answer, LEAST, beam)
    kept = seen[found.row, found.column]
    row, column = np.nonzero((truth["centre"][0] == 1) & seen)
    true = np.stack([column + truth["vote"][0][row, column], row + truth["vote"][1][row, column]], axis=1)
    places = np.stack([found.x[kept], found.y[kept]], axis=1)
    return Matches(found.score[kept], _found(places, true, RADIUS * beam), row.size)


def _found(places, true, radius) -> np.ndarray:
    """Which of the places, the best first, are near a true one that is still free; each takes the nearest."""
    real = np.zeros(len(places), dtype=bool)
    if len(true) == 0 or len(places) == 0:
        return real
    free = np.ones(len(true), dtype=bool)
    for place, near in enumerate(KDTree(true).query_ball_point(places, radius)):
        left = [index for index in near if free[index]]
        if left:
            real[place] = True
            free[min(left, key=lambda index: np.sum((true[index] - places[place]) ** 2))] = False
    return real


def dice(answers: Sequence[Arrays], truths: Sequence[Arrays]) -> float:
    """Dice coefficient of the pixels of all patches together; NaN where there is no source in either.

    Parameters
    ----------
    answers, truths : sequence of dict
        See `match_centres`.
    """
    both = either = 0
    for answer, truth in zip(answers, truths, strict=True):
        seen = truth["weight"] > 0
        found, true = (answer["segmentation"] > 0) & seen, (truth["segmentation"] > 0) & seen
        both += 2 * int(np.count_nonzero(found & true))
        either += int(np.count_nonzero(found) + np.count_nonzero(true))
    return both / either if either else float("nan")
