"""Pairs of dirty and restored images, brought onto one grid and one scale without any resampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.nddata import CCDData
from astropy.time import Time

from astroseg.errors import ImageError, UsageError

__all__ = ["Scale", "exposure_of", "flare_numbers", "match_pair"]

SAME_PLACE = 1e-6  # arcsec
SAME_FLARE = 3600.0  # seconds without an image, after which another flare begins
EXPOSURES = ("EXPTIME", "EXPOSURE", "XPOSURE")


@dataclass(frozen=True)
class Scale:
    """One linear scale for all images of a data set, so that faint and bright ones stay so.

    Parameters
    ----------
    largest : float
        What becomes 1. An empty sky stays 0.
    """

    largest: float

    @classmethod
    def of(cls, images: Iterable[np.ndarray]) -> Scale:
        """From the largest absolute value of many images.

        Raises
        ------
        UsageError
            All are 0.
        """
        largest = max((float(np.nanmax(np.abs(image))) for image in images), default=0.0)
        if not largest > 0:
            msg = "All images are 0: there is nothing to scale."
            raise UsageError(msg)
        return cls(largest)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """From the unit of the images to the scale."""
        return values / self.largest

    def invert(self, values: np.ndarray) -> np.ndarray:
        """From the scale to the unit of the images."""
        return values * self.largest


def match_pair(dirty: CCDData, target: CCDData) -> tuple[CCDData, CCDData]:
    """Cut the larger one of two images at its upper and right edges, so that they have the same pixels.

    Parameters
    ----------
    dirty, target : `~astropy.nddata.CCDData`
        With world coordinates.

    Returns
    -------
    tuple of `~astropy.nddata.CCDData`
        Of the same shape. Each pixel keeps its world coordinates.

    Raises
    ------
    ImageError
        There are no world coordinates; their reference pixels differ; or a pixel lies somewhere else in the other.
    """
    names = dirty.meta["name"], target.meta["name"]
    for image, name in zip((dirty, target), names, strict=True):
        if image.wcs is None:
            msg = f"{name} has no world coordinates: it cannot be paired."
            raise ImageError(msg)
    ours, theirs = (tuple(map(float, image.wcs.wcs.crpix)) for image in (dirty, target))
    if ours != theirs:
        msg = f"CRPIX of {names[0]} is {ours}, of {names[1]} {theirs}; they must be the same."
        raise ImageError(msg)
    ny, nx = np.minimum(dirty.shape, target.shape)
    corners = np.array([[0, 0], [nx - 1, 0], [0, ny - 1], [nx - 1, ny - 1]])
    here, there = (_arcsec(image.wcs, corners) for image in (dirty, target))
    apart = float(np.abs(here - there).max())
    if not apart < SAME_PLACE:
        msg = f"The pixels of {names[0]} and {names[1]} lie {apart:.3g} arcsec apart; they must be the same."
        raise ImageError(msg)
    return dirty[:ny, :nx], target[:ny, :nx]


def _arcsec(wcs, pixels) -> np.ndarray:
    units = [unit.to("arcsec") for unit in wcs.wcs.cunit]
    return wcs.all_pix2world(pixels, 0) * units


def exposure_of(image: CCDData) -> float:
    """Exposure in seconds by the header of an image, 1 where it has none."""
    header = image.meta.get("header") or {}
    for key in EXPOSURES:
        value = header.get(key)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return 1.0


def flare_numbers(images: Sequence[CCDData]) -> np.ndarray:
    """Number the flares that images show: those less than an hour apart, one by one, show the same.

    An image without a date is one of its own.

    Parameters
    ----------
    images : sequence of `~astropy.nddata.CCDData`

    Returns
    -------
    1-D `~numpy.ndarray` of int
        Of each image, from 0.
    """
    dates = [_seconds(image) for image in images]
    times = np.array(dates, dtype=float)
    order = np.argsort(times, kind="stable")  # unknown ones come last
    gaps = np.diff(times[order], prepend=-np.inf)
    numbers = np.empty(len(images), dtype=int)
    numbers[order] = np.cumsum(~(gaps < SAME_FLARE)) - 1
    return numbers


def _seconds(image) -> float:
    date = getattr(getattr(image.wcs, "wcs", None), "dateobs", "") or (image.meta.get("header") or {}).get("DATE-OBS")
    try:
        return float(Time(date).unix) if date else np.nan
    except ValueError:  # not ISO
        return np.nan
