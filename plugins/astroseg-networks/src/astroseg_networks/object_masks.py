"""Probabilities of several objects -> their masks: no pixel in two of them, and each in one piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull

from astroseg.contours import trace_labels
from astroseg.labels import components
from astroseg_networks.crop import Slices
from astroseg_networks.dextr_input import Form
from astroseg_networks.prompts import Prompt

__all__ = ["bounding_box", "is_concave", "object_mask", "reach_of", "share_pixels", "solidity"]

SOLID = 0.6  # area over that of the convex hull, below which four points say little of an object
REACH = 3.0  # pixels of the network: how far from its points an object may lie
MISSED = 4.0  # pixels of the image, at least: a click is off by up to three along both axes
LOBE = 0.2  # area of a part over that of the largest one, from which it belongs to what a box is around


def share_pixels(
    shape: tuple[int, int], maps: Sequence[tuple[Slices, np.ndarray]], prompts: Sequence[Prompt], threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give each pixel to the object of the highest probability.

    Parameters
    ----------
    shape : (int, int)
        Of the image, (ny, nx).
    maps : sequence of ((slice, slice), 2-D `~numpy.ndarray` of float32)
        Of each object, a part of the image, and the probabilities there.
    prompts : sequence of Prompt
    threshold : float
        A pixel belongs to an object above it.

    Returns
    -------
    owner : 2-D `~numpy.ndarray` of int32
        1 + index of the object, 0 for none.
    probability : 2-D `~numpy.ndarray` of float32
        The highest.

    Notes
    -----
    Where two are equal to the last bit, the object with the smaller bounds has the pixel, whatever the order.
    """
    owner, highest = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for index in sorted(range(len(maps)), key=lambda number: prompts[number].bounds):
        place, probability = maps[index]
        ahead = probability > highest[place]
        highest[place][ahead] = probability[ahead]
        owner[place][ahead] = np.where(probability[ahead] > threshold, index + 1, 0)
    return owner, highest


def object_mask(inside: np.ndarray, prompt: Prompt, place: Slices, reach: float) -> tuple[np.ndarray, int]:
    """The parts of a mask that belong to the object: the largest one, and those on which the user clicked.

    A box does not say which parts it was drawn around: large ones are all kept.

    Parameters
    ----------
    inside : 2-D `~numpy.ndarray` of bool
        Of a part of the image.
    prompt : Prompt
    place : (slice, slice)
        Rows and columns of that part in the image.
    reach : float, pixels
        How far from a click a part may lie.

    Returns
    -------
    mask : 2-D `~numpy.ndarray` of bool
    fragments : int
        Number of the parts that were left out.
    """
    parts = components(inside)
    number = int(parts.max(initial=0))
    if number < 2:
        return inside, 0
    kept = np.zeros(number + 1, dtype=bool)
    areas = np.bincount(parts.ravel())[1:]
    kept[1 + np.argmax(areas)] = True
    if prompt.box is not None:
        kept[1:] |= areas >= LOBE * areas.max()
    clicks = np.concatenate([prompt.inside, np.empty((0, 2)) if prompt.points is None else prompt.points])
    for column, row in clicks - (place[1].start, place[0].start):
        corner = np.fmax(np.floor(np.array([row, column]) - reach).astype(int), 0)
        window = parts[tuple(slice(first, first + int(2 * reach) + 3) for first in corner)]
        y, x = np.ogrid[: window.shape[0], : window.shape[1]]
        kept[window[(x + corner[1] - column) ** 2 + (y + corner[0] - row) ** 2 <= reach**2]] = True
    kept[0] = False
    return kept[parts], int(number - np.count_nonzero(kept))


def reach_of(prompt: Prompt, form: Form) -> float:
    """How far from a click, in pixels of the image, a part of the object may lie."""
    crop = form.crop(prompt)
    return max(MISSED, REACH * max(crop.height, crop.width) / crop.size)


def bounding_box(mask: np.ndarray) -> Slices:
    """Rows and columns that hold all of a mask; none where it is empty."""
    return _span(mask, 1), _span(mask, 0)


def _span(mask: np.ndarray, across: int) -> slice:
    places = np.flatnonzero(mask.any(axis=across))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def solidity(mask: np.ndarray) -> float:
    """Area of a mask over that of its convex hull; NaN where it is empty.

    Parameters
    ----------
    mask : 2-D `~numpy.ndarray` of bool
    """
    outlines = [item.vertices for item in trace_labels(mask.astype(np.int32)) if not item.hole]
    if not outlines:
        return float("nan")
    return float(np.count_nonzero(mask) / ConvexHull(np.concatenate(outlines)).volume)


def is_concave(mask: np.ndarray) -> bool:
    """Whether a mask is so concave, or in such parts, that four points say little of it."""
    return solidity(mask) < SOLID
