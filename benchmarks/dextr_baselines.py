"""What dextr is measured against: ways to outline an object from its four points that need no training.

Each gets the image and a prompt, looks at the same crop as the network, and may mark pixels within the box only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from astroseg_networks.dextr_input import FORMS
from astroseg_networks.prompts import Prompt
from scipy import ndimage
from skimage.filters import sobel, threshold_otsu, threshold_yen
from skimage.segmentation import random_walker, watershed

from astroseg.background import MAD_TO_SIGMA

__all__ = ["BASELINES", "best_threshold", "crop_of", "fixed_thresholds"]

SHRUNK = 0.4  # of the ellipse: what is surely inside
LEVELS = 200
WIDTHS = 0, 1, 2  # pixels
MULTIPLES = np.geomspace(1, 30, 15)
SHARES = np.linspace(0.1, 0.9, 17)
LARGEST = 128  # pixels, side of what the random walker walks over

Box = tuple[slice, slice]


def crop_of(prompt: Prompt, shape: tuple[int, int]) -> Box:
    """The part of the image that the network sees."""
    return FORMS["light"].crop(prompt).inside(shape)


def ellipse(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """The ellipse whose extreme points these are."""
    return _ellipse(image.shape, prompt, 1.0)


def _ellipse(shape, prompt, scale) -> np.ndarray:
    left, bottom, right, top = prompt.bounds
    centre, half = np.array([left + right, bottom + top]) / 2, np.array([right - left, top - bottom]) / 2 + 0.5
    lean = 0.0
    if prompt.points is not None:
        points = np.asarray(prompt.points) - centre
        by_x, by_y = points[np.argsort(points[:, 0])], points[np.argsort(points[:, 1])]
        lean = np.mean([(by_x[-1, 1] - by_x[0, 1]) / 2 * half[0], (by_y[-1, 0] - by_y[0, 0]) / 2 * half[1]])
    lean = np.clip(lean, -0.98 * half.prod(), 0.98 * half.prod())
    inverse = np.linalg.inv([[half[0] ** 2, lean], [lean, half[1] ** 2]])
    y, x = np.indices(shape)
    x, y = x - centre[0], y - centre[1]
    return inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2 <= scale**2


def _in_box(shape, prompt) -> np.ndarray:
    left, bottom, right, top = prompt.bounds
    y, x = np.indices(shape)
    return (x >= left - 0.5) & (x <= right + 0.5) & (y >= bottom - 0.5) & (y <= top + 0.5)


def _upright(image, prompt) -> tuple[np.ndarray, Box, np.ndarray]:
    """The crop with the object brighter than what surrounds it, where it lies, and the box in it."""
    place = crop_of(prompt, image.shape)
    box = _in_box(image.shape, prompt)[place]
    values = np.nan_to_num(np.asarray(image[place], dtype=float))
    middle = _ellipse(image.shape, prompt, 0.7)[place]
    sign = np.sign(np.median(values[middle]) - np.median(values[~box])) if middle.any() and not box.all() else 1.0
    return (sign or 1.0) * values, place, box


def _largest(mask) -> np.ndarray:
    parts, number = ndimage.label(mask, np.ones((3, 3)))
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if number else mask


def _put(shape, place, mask) -> np.ndarray:
    whole = np.zeros(shape, dtype=bool)
    whole[place] = mask
    return whole


def _by_histogram(choose) -> Callable[[np.ndarray, Prompt], np.ndarray]:
    def outline(image: np.ndarray, prompt: Prompt) -> np.ndarray:
        values, place, box = _upright(image, prompt)
        return _put(image.shape, place, _largest((values > choose(values)) & box))

    return outline


def best_threshold(image: np.ndarray, prompt: Prompt, truth: np.ndarray) -> np.ndarray:
    """The best of all thresholds on the crop, smoothed or not, found with the truth at hand: no one can do as well."""
    values, place, box = _upright(image, prompt)
    true, found, highest = truth[place], np.zeros(box.shape, dtype=bool), -1.0
    for width in WIDTHS:
        smooth = ndimage.gaussian_filter(values, width) if width else values
        for level in np.quantile(smooth[box], np.linspace(0, 0.99, LEVELS // 4)):
            mask = (smooth > level) & box
            score = np.count_nonzero(mask & true) / np.count_nonzero(mask | true)
            if score > highest:
                found, highest = mask, score
    return _put(image.shape, place, found)


def fixed_thresholds(image: np.ndarray, prompt: Prompt, truth: np.ndarray) -> np.ndarray:
    """Overlaps for thresholds that can be the same for all objects, on the crop smoothed or not.

    They are multiples of the noise around the box, and shares of the way from there to its brightest pixels.
    """
    values, place, box = _upright(image, prompt)
    true, found = truth[place], []
    for width in WIDTHS:
        smooth = ndimage.gaussian_filter(values, width) if width else values
        around = smooth[~box] if not box.all() else smooth
        level = np.median(around)
        noise, height = MAD_TO_SIGMA * np.median(np.abs(around - level)), np.percentile(smooth[box], 98) - level
        for threshold in (*(level + MULTIPLES * noise), *(level + SHARES * height)):
            mask = _largest((smooth > threshold) & box)
            found.append(np.count_nonzero(mask & true) / np.count_nonzero(mask | true))
    return np.array(found)


def _seeds(image, prompt) -> tuple[np.ndarray, Box, np.ndarray, np.ndarray]:
    values, place, box = _upright(image, prompt)
    seeds = np.where(box, 0, 2)
    seeds[_ellipse(image.shape, prompt, SHRUNK)[place] & box] = 1
    if prompt.points is not None:
        rows, columns = (np.rint(np.asarray(prompt.points)).astype(int).T)[::-1]
        seeds[rows - place[0].start, columns - place[1].start] = 1
    return values, place, box, seeds


def seeded_watershed(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Floods the steepness of the smoothed crop from the points and the middle, and from beyond the box."""
    values, place, box, seeds = _seeds(image, prompt)
    return _put(image.shape, place, (watershed(sobel(ndimage.gaussian_filter(values, 1)), seeds) == 1) & box)


def walker(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Grady's random walker from the same seeds, on at most 128 x 128 pixels."""
    values, place, box, seeds = _seeds(image, prompt)
    step = int(np.ceil(max(values.shape) / LARGEST))
    small = ndimage.uniform_filter(values, step)[::step, ::step]
    spread = small.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = random_walker(small / spread if spread > 0 else small, seeds[::step, ::step], beta=130, mode="cg_j")
    wide = np.kron(answer == 1, np.ones((step, step), dtype=bool))[: values.shape[0], : values.shape[1]]
    return _put(image.shape, place, wide & box)


#: Name -> outlines an object of an image from a prompt.
BASELINES: dict[str, Callable[[np.ndarray, Prompt], np.ndarray]] = {
    "ellipse": ellipse,
    "Otsu": _by_histogram(threshold_otsu),
    "Yen": _by_histogram(threshold_yen),
    "watershed": seeded_watershed,
    "walker": walker,
}
