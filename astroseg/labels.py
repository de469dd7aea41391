"""Scores -> label images: int32, 0 = background, numbered by the raster order of their first pixel."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import ndimage

from astroseg.errors import AstrosegWarning

__all__ = ["compact", "components", "deblend", "hysteresis", "remove_small", "watershed"]

MOST_WORK = 1e7  # local maxima times pixels of an island that is still deblended: a few seconds

_FOUR = ndimage.generate_binary_structure(2, 1)
_EIGHT = ndimage.generate_binary_structure(2, 2)


def components(mask: np.ndarray, connectivity: int = 8) -> np.ndarray:
    """Label the connected components of a mask.

    Parameters
    ----------
    mask : 2-D `~numpy.ndarray` of bool
    connectivity : {8, 4}
        Whether pixels that touch at a corner are connected.

    Returns
    -------
    2-D `~numpy.ndarray` of int32
    """
    labels = np.empty(mask.shape, dtype=np.int32)
    ndimage.label(mask, _EIGHT if connectivity == 8 else _FOUR, output=labels)
    return labels


def hysteresis(score: np.ndarray, flood: float, seed: float, min_pixels: int = 1, connectivity: int = 8) -> np.ndarray:
    """Label the islands of pixels at or above ``flood`` that hold a pixel at or above ``seed``.

    Parameters
    ----------
    score : 2-D `~numpy.ndarray`
    flood, seed : float
        In units of ``score``; ``flood`` <= ``seed``.
    min_pixels : int
        Smaller islands are dropped.
    connectivity : {8, 4}
    """
    labels = components(score >= flood, connectivity)
    keep = np.zeros(labels.max(initial=0) + 1, dtype=bool)
    keep[labels[score >= seed]] = True
    return _keep(labels, keep, min_pixels)


def remove_small(labels: np.ndarray, min_pixels: int) -> np.ndarray:
    """Drop the labels of fewer than ``min_pixels`` pixels and close the gaps in the numbering."""
    return _keep(labels, np.ones(labels.max(initial=0) + 1, dtype=bool), min_pixels)


def _keep(labels, keep, min_pixels):
    """Keep some labels, at least ``min_pixels`` large, and number them anew."""
    inside = np.flatnonzero(labels)  # few of many pixels
    old = labels.ravel()[inside]
    if min_pixels > 1:
        keep = keep & (np.bincount(old, minlength=keep.size) >= min_pixels)
    keep[0] = False
    if keep[1:].all():
        return labels
    result = np.zeros_like(labels)
    result.ravel()[inside] = np.where(keep, np.cumsum(keep), 0).astype(np.int32)[old]
    return result


def compact(labels: np.ndarray) -> np.ndarray:
    """Number any labels 1, 2, 3, ... by the raster order of their first pixel."""
    inside = np.flatnonzero(labels)
    present, first, inverse = np.unique(labels.ravel()[inside], return_index=True, return_inverse=True)
    rank = np.empty(present.size, dtype=np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(1, present.size + 1)
    result = np.zeros(labels.shape, dtype=np.int32)
    result.ravel()[inside] = rank[inverse]
    return result


def watershed(height: np.ndarray, seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give each pixel of the mask to one of the seeds, flooding down from the peaks.

    Parameters
    ----------
    height : 2-D `~numpy.ndarray`
        What is flooded, peaks up.
    seeds : 2-D `~numpy.ndarray` of int
        Number of the source at its seed pixels, 0 elsewhere.
    mask : 2-D `~numpy.ndarray` of bool
        Pixels of islands without a seed stay background.
    """
    from skimage.segmentation import watershed as flood

    return compact(flood(-height, seeds, mask=mask, connectivity=2))


def deblend(
    labels: np.ndarray,
    height: np.ndarray,
    *,
    levels: int = 32,
    contrast: float = 0.005,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Split islands that hold several sources, by multi-thresholding and watershed.

    Parameters
    ----------
    labels : 2-D `~numpy.ndarray` of int32
    height : 2-D `~numpy.ndarray`
        The image, in any unit; pixels below zero are taken as zero.
    levels : int
        Number of thresholds between the faintest and the brightest pixel of an island.
    contrast : float
        Least share of an island's flux that a branch must hold to become a source.
    origin : (int, int)
        Row and column of the first pixel in the image that this is a region of, for the warning.

    Notes
    -----
    The method of SExtractor (Bertin & Arnouts 1996, A&AS 117, 393, section 6), as implemented by
    `photutils.segmentation.deblend_sources`. Only islands with two or more local maxima are tried. An island so large
    and rough that it would take minutes is left whole, with a warning that says where it is.
    """
    from photutils.segmentation import SegmentationImage, deblend_sources

    peaks = (height == ndimage.maximum_filter(height, footprint=_EIGHT, mode="nearest")) & (labels > 0)
    number = np.bincount(labels[peaks], minlength=labels.max(initial=0) + 1)
    # The time grows with both: each maximum is a branch at many levels, each level a pass over the island.
    work = number * np.bincount(labels.ravel(), minlength=number.size).astype(float)
    for label in np.flatnonzero((number > 1) & (work > MOST_WORK)):
        y, x = (int(axis.mean()) + first for axis, first in zip(np.nonzero(labels == label), origin, strict=True))
        warnings.warn(
            f"The island around x = {x}, y = {y} has {number[label]} local maxima, too many to deblend; left whole.",
            AstrosegWarning,
            stacklevel=3,
        )
    crowded = np.flatnonzero((number > 1) & (work <= MOST_WORK))
    if crowded.size == 0:
        return labels
    with warnings.catch_warnings():
        # 3.0 draws a bar unless told not to, 3.1 has none and warns about being told.
        warnings.filterwarnings("ignore", "'progress_bar' was deprecated")
        split = deblend_sources(
            np.maximum(height, 0),
            SegmentationImage(labels),
            1,
            labels=crowded,
            n_levels=levels,
            contrast=contrast,
            connectivity=8,
            progress_bar=False,
        )
    return compact(split.data)
