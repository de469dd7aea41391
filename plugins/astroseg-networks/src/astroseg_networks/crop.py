"""A part of the image, resampled to what a network takes, and back: exact where the two have the same size.

Where the network's grid is coarser, its pixels are means over the area that they cover; where it is finer, they are
interpolated linearly. The way back is the same with the roles exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

__all__ = ["Crop", "resampling"]

Slices = tuple[slice, slice]

TINY = 1e-9  # share of a pixel that is no more than a rounding error


@dataclass(frozen=True)
class Crop:
    """A rectangle of pixels, which may reach beyond the image.

    Parameters
    ----------
    row, column : int
        Of its first pixel, in the image.
    height, width : int, pixels
    size : int, pixels
        Side of the square that the network takes.
    """

    row: int
    column: int
    height: int
    width: int
    size: int

    @classmethod
    def around(
        cls,
        bounds: tuple[float, float, float, float],
        size: int,
        *,
        share: float,
        least: float,
        square: bool,
    ) -> Crop:
        """The crop around an object.

        Parameters
        ----------
        bounds : (left, bottom, right, top), pixels
            Of the object, 0-based.
        size : int, pixels
        share : float
            Margin on each side over the longer side of the object.
        least : float, pixels
            Smallest margin.
        square : bool
            Leave the scale the same in x and y.
        """
        left, bottom, right, top = bounds
        sides = np.array([top - bottom, right - left]) + 1
        margin = max(share * float(sides.max()), least)
        lengths = np.ceil((np.full(2, sides.max()) if square else sides) + 2 * margin).astype(int)
        first = np.rint(np.array([bottom + top, left + right]) / 2 - (lengths - 1) / 2).astype(int)
        return cls(int(first[0]), int(first[1]), int(lengths[0]), int(lengths[1]), size)

    def inside(self, shape: tuple[int, int]) -> Slices:
        """Rows and columns of the image that lie in the crop; empty where none does."""
        return (
            slice(*np.clip((self.row, self.row + self.height), 0, shape[0]).tolist()),
            slice(*np.clip((self.column, self.column + self.width), 0, shape[1]).tolist()),
        )

    def cut(self, data: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """The part of an image as the network sees it.

        Parameters
        ----------
        data : 2-D `~numpy.ndarray`
        mask : 2-D `~numpy.ndarray` of bool, optional
            True where blank.

        Returns
        -------
        2-D `~numpy.ndarray` of float64, shape (size, size)
            Means of what is not blank; NaN where nothing is, and beyond the image.
        """
        place = self.inside(data.shape)
        values = np.asarray(data[place], dtype=np.float64)
        seen = np.isfinite(values) if mask is None else np.isfinite(values) & ~mask[place]
        own_rows, own_columns = self.within(place)
        rows = resampling(self.height, self.size)[:, own_rows]
        columns = resampling(self.width, self.size)[:, own_columns]
        if seen.all():  # the share of a pixel that lies on the image is a product
            weight = np.outer(rows.sum(axis=1), columns.sum(axis=1))
        else:
            values, weight = np.where(seen, values, 0), _product(rows, seen.astype(float), columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weight > TINY, _product(rows, values, columns) / weight, np.nan)

    def paste(self, values: np.ndarray, shape: tuple[int, int]) -> tuple[Slices, np.ndarray]:
        """What the network says, on the pixels of the image.

        Parameters
        ----------
        values : 2-D `~numpy.ndarray`, shape (size, size)
        shape : (int, int)
            Of the image, (ny, nx).

        Returns
        -------
        place : (slice, slice)
            Rows and columns in the image.
        values : 2-D `~numpy.ndarray` of float32
            Of these.
        """
        place = self.inside(shape)
        rows, columns = resampling(self.size, self.height), resampling(self.size, self.width)
        own = self.within(place)
        return place, _product(rows[own[0]], values.astype(np.float32), columns[own[1]]).astype(np.float32)

    def within(self, place: Slices) -> Slices:
        """Where rows and columns of the image lie in the crop."""
        rows, columns = place
        return (
            slice(rows.start - self.row, rows.stop - self.row),
            slice(columns.start - self.column, columns.stop - self.column),
        )

    def to_network(self, points: ArrayLike) -> np.ndarray:
        """Points (x, y) of the image, 0-based, on the grid of the network: shape (n, 2)."""
        scale = self.size / np.array([self.width, self.height])
        return (np.asarray(points, dtype=float) - (self.column, self.row) + 0.5) * scale - 0.5


def _product(rows: sparse.csr_array, values: np.ndarray, columns: sparse.csr_array) -> np.ndarray:
    """Both axes resampled."""
    return np.asarray((columns @ (rows @ values).T).T)


@lru_cache(maxsize=64)
def resampling(length: int, wanted: int) -> sparse.csr_array:
    """The matrix that takes a line of pixels to another number of pixels.

    Parameters
    ----------
    length, wanted : int, pixels

    Returns
    -------
    `~scipy.sparse.csr_array`, shape (wanted, length)
        Its rows add up to 1. Identity where the two are equal.
    """
    if wanted >= length:
        place = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
        first = np.minimum(place.astype(int), max(length - 2, 0))
        weight = place - first
        row = np.arange(wanted)
        columns = np.concatenate([first, np.minimum(first + 1, length - 1)])
        return sparse.csr_array(
            (np.concatenate([1 - weight, weight]), (np.concatenate([row, row]), columns)), shape=(wanted, length)
        )
    edges = np.union1d(np.arange(length + 1), np.arange(wanted + 1) * length / wanted)
    middle = (edges[1:] + edges[:-1]) / 2
    row, column = np.minimum(middle * wanted / length, wanted - 1).astype(int), middle.astype(int)
    return sparse.csr_array((np.diff(edges) * wanted / length, (row, column)), shape=(wanted, length))
