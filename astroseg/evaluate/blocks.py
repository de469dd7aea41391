"""Cutting a field into blocks of sky, and sums over them: what the bootstrap resamples."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from astroseg.evaluate.positions import Positions

__all__ = ["Blocks", "PixelBlocks", "cut_blocks", "cut_pixels", "ratio"]

_SIDE = 8  # blocks along each axis of an image


@dataclass(frozen=True)
class Blocks:
    """Which block of sky each row lies in.

    Parameters
    ----------
    found, truth : 1-D `~numpy.ndarray` of int
    count : int
        Number of blocks.
    key : str
        Differs where the truth or its blocks differ.
    """

    found: np.ndarray
    truth: np.ndarray
    count: int
    key: str

    def sum_found(self, values: np.ndarray) -> np.ndarray:
        """Sum of values of the detections in each block, shape (count,).

        Parameters
        ----------
        values : 1-D `~numpy.ndarray`
        """
        return np.bincount(self.found, weights=values, minlength=self.count)

    def sum_truth(self, values: np.ndarray) -> np.ndarray:
        """Sum of values of the true sources in each block, shape (count,).

        Parameters
        ----------
        values : 1-D `~numpy.ndarray`
        """
        return np.bincount(self.truth, weights=values, minlength=self.count)


def cut_blocks(found: Positions, truth: Positions, side: int = 8) -> Blocks:
    """Cut the field that the truth covers into ``side`` x ``side`` blocks; those without truth are left out.

    They depend on the truth alone, so that finders can be compared in pairs. A detection belongs
    to the block of the true source that is nearest.

    Parameters
    ----------
    found, truth : Positions
    side : int
    """
    known = np.flatnonzero(truth.known)
    block = np.zeros(len(truth), dtype=int)
    nearest = np.zeros(len(found), dtype=int)
    if known.size:
        flat = truth.flat()[known]
        low, width = flat.min(axis=0), np.ptp(flat, axis=0)
        cell = np.minimum((side * (flat - low) / np.where(width > 0, width, 1)).astype(int), side - 1)
        block[known] = np.unique(cell @ [1, side], return_inverse=True)[1]
        rows = np.flatnonzero(found.known)
        if rows.size:
            nearest[rows] = block[known[KDTree(truth.vectors[known]).query(found.vectors[rows])[1]]]
    key = f"{len(truth)} {zlib.crc32(np.stack([truth.first, truth.second, block]).tobytes())}"
    return Blocks(nearest, block, int(block.max(initial=0)) + 1, key)


@dataclass(frozen=True)
class PixelBlocks:
    """Which block of an image each pixel lies in.

    Parameters
    ----------
    number : `~numpy.ndarray` of int, of the shape of the image
    count : int
        Number of blocks.
    key : str
        Differs where the truth differs.
    """

    number: np.ndarray
    count: int
    key: str


def cut_pixels(truth: np.ndarray) -> PixelBlocks:
    """Cut an image into blocks, eight along each axis.

    Parameters
    ----------
    truth : `~numpy.ndarray`
        Mask or label image: what is above 0 is source.
    """
    shape = np.shape(truth)
    number = np.zeros(shape, dtype=np.int16)
    for axis, length in enumerate(shape):
        along = np.arange(length) * _SIDE // max(length, 1)
        number = _SIDE * number + along.reshape([-1 if axis == other else 1 for other in range(len(shape))])
    return PixelBlocks(
        number, _SIDE ** len(shape), f"{shape} {zlib.crc32(np.packbits(np.asarray(truth) > 0).tobytes())}"
    )


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part over whole, NaN where there is no whole.

    Parameters
    ----------
    part, whole : `~numpy.ndarray`
    """
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
