"""Positions of two catalogues in one space: unit vectors where both have a sky, else pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np

from astroseg.errors import UsageError
from astroseg.evaluate.tables import column, names
from astroseg.sky import ARCSEC

__all__ = ["Positions", "common_positions"]

_SKIES = (("ra", "dec"), ("hpc_x", "hpc_y"), ("hg_lon", "hg_lat"))
_PIXELS = ("x_centroid", "y_centroid")
_UNITS = {"hpc_x": u.arcsec, "hpc_y": u.arcsec}


@dataclass(frozen=True)
class Positions:
    """Longitude and latitude in degrees, or x and y in pixels.

    Parameters
    ----------
    first, second : 1-D `~numpy.ndarray`
    on_sky : bool
    """

    first: np.ndarray
    second: np.ndarray
    on_sky: bool

    def __len__(self) -> int:
        return len(self.first)

    @property
    def known(self) -> np.ndarray:
        """Where both coordinates are finite."""
        return np.isfinite(self.first) & np.isfinite(self.second)

    @property
    def unit(self) -> u.UnitBase:
        """Of separations: arcsec or pixels."""
        return u.arcsec if self.on_sky else u.pix

    @property
    def vectors(self) -> np.ndarray:
        """Cartesian coordinates, shape (n, 3) or (n, 2), in arcsec (chords) or pixels."""
        if not self.on_sky:
            return np.stack([self.first, self.second], axis=-1)
        longitude, latitude = np.radians(self.first), np.radians(self.second)
        cos = np.cos(latitude)
        return ARCSEC * np.stack([cos * np.cos(longitude), cos * np.sin(longitude), np.sin(latitude)], axis=-1)

    def offsets(self, other: Positions) -> tuple[np.ndarray, np.ndarray]:
        """From the others to these, one by one: towards east and north (or x and y), in `unit`.

        Parameters
        ----------
        other : Positions
            As many as these; on the sky, close by.
        """
        east, north = self.first - other.first, self.second - other.second
        if not self.on_sky:
            return east, north
        east = (east + 180) % 360 - 180
        return east * np.cos(np.radians(other.second)) * 3600, north * 3600

    def subset(self, which: np.ndarray) -> Positions:
        """Some of them.

        Parameters
        ----------
        which : 1-D `~numpy.ndarray` of bool or int
        """
        return Positions(self.first[which], self.second[which], self.on_sky)

    def shifted(self, east: float, north: float) -> Positions:
        """The same, moved by so many arcsec (or pixels) towards east and north (or x and y).

        Parameters
        ----------
        east, north : float
        """
        if not self.on_sky:
            return Positions(self.first + east, self.second + north, on_sky=False)
        # Close to a pole, a shift in longitude would go around it.
        cos = np.maximum(np.cos(np.radians(self.second)), 1e-6)
        return Positions((self.first + east / 3600 / cos) % 360, self.second + north / 3600, on_sky=True)

    def flat(self) -> np.ndarray:
        """Plane coordinates around the middle, shape (n, 2): good enough to cut the field into blocks."""
        if not self.on_sky or not self.known.any():
            return np.stack([self.first, self.second], axis=-1)
        middle = self.vectors[self.known].mean(axis=0)
        longitude = np.degrees(np.arctan2(middle[1], middle[0]))
        east = (self.first - longitude + 180) % 360 - 180
        return np.stack([east * np.cos(np.radians(self.second)), self.second], axis=-1)


def common_positions(found: Any, truth: Any) -> tuple[Positions, Positions]:
    """Positions of both catalogues: on the sky where both have one, else in pixels.

    Parameters
    ----------
    found, truth : tables
        With ``ra`` and ``dec`` (or the solar pairs), or ``x_centroid`` and ``y_centroid``.

    Raises
    ------
    UsageError
        Where they have no kind of position in common.
    """
    for pair in (*_SKIES, _PIXELS):
        if _has(found, pair) and _has(truth, pair):
            return _positions(found, pair), _positions(truth, pair)
    msg = "Detections and truth have no positions in common; both need ra and dec, or x_centroid and y_centroid."
    raise UsageError(msg)


def _has(table, pair):
    if not set(pair) <= set(names(table)):
        return False
    values = column(table, pair[0])
    return len(values) == 0 or bool(np.isfinite(values).any())


def _positions(table, pair) -> Positions:
    unit = u.pix if pair == _PIXELS else u.deg
    first, second = (column(table, name, unit, _UNITS.get(name)) for name in pair)
    return Positions(first, second, on_sky=pair != _PIXELS)
