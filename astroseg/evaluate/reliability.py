"""How many detections are noise, judged by the inverted image; and the lowest threshold that is reliable enough.

Noise is as often below the background as above it, sources are only above. What a finder detects on the inverted image
is therefore as much noise as there is among its detections on the image itself, as long as the noise is symmetric:
sidelobes, negative bowls and absorption are not.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.nddata import CCDData

from astroseg.background import standardize
from astroseg.errors import AstrosegError, AstrosegWarning, NoDetectionsWarning, UsageError
from astroseg.evaluate.estimates import Estimate, wilson
from astroseg.evaluate.tables import column
from astroseg.finder import Detections, PixelFinder, SourceFinder
from astroseg.image import read_image

__all__ = ["Choice", "choose_threshold", "estimate_reliability", "invert"]

START = 3.0  # threshold of the first run, whose detections say where to look
LOWEST, HIGHEST, STEP = 1.0, 20.0, 0.05  # the thresholds that are tried, in units of the noise
GALLOP = 4  # each step down is longer than the one before by this factor
UNCHANGED = 2  # steps without a change after which a finder is taken to have no more to give
FOUND, INVERTED = 0, 1  # the images

Rule = Callable[[Callable[[int], Any]], Any]


@dataclass(frozen=True)
class Choice:
    """A threshold that was chosen on one image.

    Parameters
    ----------
    finder : `~astroseg.SourceFinder`
        With that threshold.
    threshold : float
        In units of the noise.
    target : float
        Reliability that was asked for.
    estimate : float
        Reliability at the threshold, ``1 - (n_inverted + 1) / n_found``.
    n_found, n_inverted : int
        Detections on the image and on the inverted one.
    """

    finder: SourceFinder
    threshold: float
    target: float
    estimate: float
    n_found: int
    n_inverted: int

    def note(self) -> dict[str, Any]:
        """What goes into the meta of the catalogue."""
        return {key: value for key, value in vars(self).items() if key != "finder"}


def choose_threshold(
    image: Any, finder: SourceFinder, target: float = 0.95, *, prompts: dict[str, Any] | None = None
) -> Choice:
    """Find the lowest threshold at which a finder is reliable enough on an image.

    Parameters
    ----------
    image : anything that `~astroseg.read_image` takes
        Background and noise are measured as by the finder, unless `~astroseg.standardize` did before.
    finder : `~astroseg.SourceFinder`
        One with a ``threshold_option``, which is at its default.
    target : float
        Reliability, between 0 and 1.
    prompts : dict, optional
        For the finder's ``find``.

    Returns
    -------
    Choice

    Raises
    ------
    UsageError
        When the finder has no threshold to choose, or it was given as well.

    Notes
    -----
    The expected number of noise detections is estimated as one more than there are on the inverted image (the mean of a
    Poisson rate after ``n`` events, whatever it was before), so that a few bright sources and an inverted image without
    any detection don't show a reliability of 1. An image that shows the target at no threshold gets the lowest one at
    which the inverted image is empty, with a warning.

    A first run at a low threshold says where to look. From there on the finder is run at each threshold that is tried,
    as islands and blends may depend on it; each run that fails says anew where to look. Below a threshold under which
    the finder changes nothing (that of its islands, say), nothing is tried.

    Examples
    --------
    >>> from astroseg import get_finder
    >>> from astroseg.evaluate.reliability import choose_threshold
    >>> from astroseg.testing import make_field
    >>> image, truth = make_field(shape=(512, 512), n_sources=100, snr=(4, 40))
    >>> choice = choose_threshold(image, get_finder("sigma"), 0.9)
    >>> choice.estimate >= 0.9, 2 < choice.threshold < 5
    (True, True)
    """
    _check(finder, target)
    search = _Search(_image_pair(read_image(image), finder), finder, prompts or {})
    chosen = search.lowest(lambda count: _guarded(count(FOUND), count(INVERTED)) >= target)
    if chosen is not None:
        return search.choice(chosen, target)
    chosen = search.lowest(lambda count: count(INVERTED) == 0)
    if chosen is None:
        msg = (
            f"{finder.name} finds sources of more than {HIGHEST:g} times the noise on the inverted image: it has "
            "negative artefacts, and cannot tell how reliable the detections are. Set the threshold by hand."
        )
        raise AstrosegError(msg)
    choice = search.choice(chosen, target)
    warnings.warn(
        f"No threshold shows a reliability of {target:g}: there are too few sources, or too many detections on the "
        f"inverted image. Took {choice.threshold:g}, which leaves none there.",
        AstrosegWarning,
        stacklevel=3,
    )
    return choice


def _check(finder, target) -> None:
    if not 0 < target < 1:
        msg = f"The reliability to reach is {target:g}; it must lie between 0 and 1, for example 0.95."
        raise UsageError(msg)
    option = finder.threshold_option
    if not option:
        msg = (
            f"The finder '{finder.name}' has no threshold in units of the noise that could be chosen. "
            "Leave --reliability out, or take a finder like sigma, peaks, sep or bdsf."
        )
        raise UsageError(msg)
    if getattr(finder, option) != finder.option(option).default:
        msg = f"Give either a reliability or {option}={getattr(finder, option):g}: the one chooses the other."
        raise UsageError(msg)
    finder.validate()


def invert(image: CCDData, finder: SourceFinder) -> CCDData:
    """Mirror an image about its background.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        From `~astroseg.read_image`.
    finder : `~astroseg.SourceFinder`
        Which is to see it.

    Returns
    -------
    `~astropy.nddata.CCDData`
        With background and noise of the image, or without any where the finder measures its own.
    """
    _, inverted = _image_pair(image, finder)
    return inverted


def _image_pair(image, finder) -> tuple[CCDData, CCDData]:
    """The image, measured as the finder wants it, and the inverted one."""
    own = "background" not in image.meta and not isinstance(finder, PixelFinder)
    measured = image
    if "background" not in image.meta:
        measured = standardize(image, finder.background if isinstance(finder, PixelFinder) else "mesh")
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    data = 2 * measured.meta["background"].level[whole] - image.data
    seen = image if own else measured
    inverted = CCDData(data, unit=image.unit, wcs=image.wcs, mask=seen.mask, meta={**seen.meta, "path": None})
    inverted.psf = image.psf
    return seen, inverted


def estimate_reliability(n_found: int, n_inverted: int, confidence: float = 0.95) -> Estimate:
    """Share of the detections that is no noise, 1 - n_inverted / n_found.

    Parameters
    ----------
    n_found, n_inverted : int
        Detections on the image, and on the inverted one.
    confidence : float
        Content of the interval, which takes both numbers for Poisson counts.

    Examples
    --------
    >>> from astroseg.evaluate.reliability import estimate_reliability
    >>> estimate_reliability(200, 10).value
    0.95
    """
    shares = wilson(np.array(n_inverted), np.array(n_inverted + n_found), confidence)
    high, low = (max(1 - float(share) / (1 - float(share)), 0.0) if share < 1 else 0.0 for share in shares)
    value = max(1 - n_inverted / n_found, 0.0) if n_found else math.nan
    return Estimate(value, low, high)


def _guarded(n_found, n_inverted):
    """The reliability, with one more noise detection than was seen."""
    return 1 - (n_inverted + 1) / np.fmax(n_found, 1)


def _index(threshold) -> int:
    return round((threshold - LOWEST) / STEP)


def _threshold(index) -> float:
    return round(LOWEST + index * STEP, 6)


@dataclass(frozen=True)
class _Search:
    """Runs of a finder on an image and its inverse, each one done once and when it is needed.

    A rule takes a function that counts the detections on one of the images, and says whether that many are right.
    """

    images: tuple[CCDData, CCDData]
    finder: SourceFinder
    prompts: dict[str, Any]
    done: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def scores(self, index: int, which: int) -> np.ndarray:
        """S/N of the detections at a threshold on one of the images, ascending."""
        if (index, which) not in self.done:
            detections = quiet_find(self._at(index), self.images[which], self.prompts)
            self.done[index, which] = np.sort(column(detections.catalog, "snr"))
        return self.done[index, which]

    def lowest(self, rule: Rule) -> int | None:
        """The lowest threshold at which the rule holds: look up until it does, down until it doesn't, then bisect."""
        low, high = None, self._guess(_index(START), rule)
        while high is not None and not self._holds(high, rule):
            low, high = high, self._guess(high + 1, rule, seen=high)
        if high is None:
            return None
        if low is None:
            low, high = self._down(high, rule)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds(middle, rule) else (middle, high)
        return high

    def _guess(self, first: int, rule: Rule, seen: int | None = None) -> int | None:
        """Where the rule would hold, if a higher threshold than ``seen`` did no more than drop fainter detections."""
        if first > _index(HIGHEST):
            return None
        start = first if seen is None else seen
        levels = np.array([_threshold(index) for index in range(first, _index(HIGHEST) + 1)])
        above = lambda which: self.scores(start, which).size - np.searchsorted(self.scores(start, which), levels)
        holds = np.flatnonzero(rule(above))
        return first + int(holds[0]) if holds.size else None

    def _down(self, high: int, rule: Rule) -> tuple[int, int]:
        """A threshold below at which the rule doesn't hold (or one that is too low), and one above at which it does."""
        step, unchanged = 1, 0
        while high > 0:
            low = max(high - step, 0)
            if not self._holds(low, rule):
                return low, high
            unchanged = unchanged + 1 if self._same(low, high) else 0
            if unchanged == UNCHANGED:
                break
            high, step = low, GALLOP * step
        return high - 1, high

    def _holds(self, index, rule) -> bool:
        return bool(rule(lambda which: self.scores(index, which).size))

    def _same(self, low, high) -> bool:
        return all(
            np.array_equal(self.scores(low, which), self.scores(high, which), equal_nan=True)
            for which in (FOUND, INVERTED)
        )

    def choice(self, index: int, target: float) -> Choice:
        """What is told of the threshold."""
        counts = self.scores(index, FOUND).size, self.scores(index, INVERTED).size
        return Choice(self._at(index), _threshold(index), target, max(float(_guarded(*counts)), 0.0), *counts)

    def _at(self, index) -> SourceFinder:
        finder = copy.copy(self.finder)  # constructors store the options and nothing else
        setattr(finder, finder.threshold_option, _threshold(index))
        return finder


def quiet_find(finder: SourceFinder, image: CCDData, prompts: dict[str, Any]) -> Detections:
    """Run a finder where finding nothing is no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        return finder.find(image, **prompts)
