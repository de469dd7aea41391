"""What a user says of an object: four extreme points, or a loose box, and clicks that correct the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astroseg.errors import UsageError

__all__ = ["Prompt", "as_prompts", "extreme_points"]

Points = Sequence[Sequence[float]] | np.ndarray
LEAST_SIDE = 1.0  # pixels, of the box around four points


@dataclass(frozen=True, eq=False)
class Prompt:
    """One object to be outlined.

    Parameters
    ----------
    points : array of shape (4, 2), pixels
        The leftmost, rightmost, lowest and highest point of the object, in any order: 0-based (x, y).
    box : (left, bottom, right, top), pixels
        Instead of the points, a box that may be loose.
    inside, outside : array of shape (n, 2), pixels
        Clicks on the object that were not in the mask, and clicks beside it that were.
    name : str
        What messages call it.

    Raises
    ------
    UsageError
        These are no four points that span an area, or no box.
    """

    points: Points | None = None
    box: Sequence[float] | None = None
    inside: Points = ()
    outside: Points = ()
    name: str = "the object"

    def __post_init__(self) -> None:
        if (self.points is None) == (self.box is None):
            msg = f"A prompt has either four extreme points or a box; {self.name} has {'both' if self.box else 'none'}."
            raise UsageError(msg)
        for key in ("points", "inside", "outside"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _checked(getattr(self, key), key, self.name))
        if self.points is not None:
            _check_points(self.points, self.name)
        else:
            object.__setattr__(self, "box", _checked_box(self.box, self.name))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top, in pixels."""
        if self.box is not None:
            left, bottom, right, top = self.box
        else:
            corners = np.asarray(self.points, dtype=float)
            (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
        return float(left), float(bottom), float(right), float(top)


def as_prompts(points: Any) -> list[Prompt]:
    """Prompts from what `find` takes: prompts, or arrays of four points, (n, 4, 2) or (4, 2).

    Raises
    ------
    UsageError
        There is none, or an array has another shape.
    """
    if isinstance(points, Prompt):
        return [points]
    if isinstance(points, list | tuple) and points and all(isinstance(item, Prompt) for item in points):
        return list(points)
    try:
        array = np.asarray(points, dtype=float)
    except (TypeError, ValueError):
        msg = "Points are four (x, y) for each object: an array of shape (n, 4, 2), a list of Prompt, or a file."
        raise UsageError(msg) from None
    if array.size == 0:
        msg = "There are no points. An object needs four extreme points (x, y), or a box."
        raise UsageError(msg)
    array = array[np.newaxis] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1:] != (4, 2):
        shape = np.shape(points)
        msg = f"Points have the shape (n, 4, 2): four (x, y) for each object; these have {shape}."
        raise UsageError(msg)
    return [Prompt(points=four, name=f"object {number}") for number, four in enumerate(array, start=1)]


def extreme_points(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Leftmost, rightmost, lowest and highest point of some pixels; of several the middle one.

    Parameters
    ----------
    rows, columns : 1-D `~numpy.ndarray` of int
        At least one pixel, in any order.

    Returns
    -------
    `~numpy.ndarray`, shape (4, 2)
        (x, y) of pixels of the object, in this order.
    """
    found = []
    for along, across, swap in ((columns, rows, False), (rows, columns, True)):
        for extreme in (along.min(), along.max()):
            run = np.sort(across[along == extreme])
            pair = (extreme, run[len(run) // 2])
            found.append(pair[::-1] if swap else pair)
    return np.array(found, dtype=float)


def _checked(points, key, name) -> np.ndarray:
    try:
        array = np.asarray(points, dtype=float)
    except (TypeError, ValueError):
        array = np.empty((0, 0))
    array = array.reshape(0, 2) if array.size == 0 and np.size(points) == 0 and key != "points" else array
    if array.ndim != 2 or array.shape[1] != 2:
        msg = f"Points are pairs (x, y); those of {name} ({key}) are not."
        raise UsageError(msg)
    if not np.isfinite(array).all():
        msg = f"A point of {name} is not a finite number, or is not shown by the projection of the image."
        raise UsageError(msg)
    return array


def _check_points(points, name) -> None:
    if len(points) != 4:
        msg = f"An object needs four extreme points; {name} has {len(points)}. A box is an alternative."
        raise UsageError(msg)
    if np.ptp(points, axis=0).max() == 0:
        msg = f"The four points of {name} are one and the same; click the leftmost, rightmost, lowest and highest one."
        raise UsageError(msg)
    if np.ptp(points, axis=0).min() < LEAST_SIDE:
        msg = f"The four points of {name} lie on a line; click the leftmost, rightmost, lowest and highest one."
        raise UsageError(msg)


def _checked_box(box, name) -> tuple[float, ...]:
    values = np.asarray(box, dtype=float)
    if values.shape != (4,) or not np.isfinite(values).all():
        msg = f"A box is four finite numbers: left, bottom, right, top; that of {name} is {box}."
        raise UsageError(msg)
    if not (values[2:] - values[:2] >= LEAST_SIDE).all():
        msg = f"The box of {name} has no area: right and top must be larger than left and bottom by a pixel or more."
        raise UsageError(msg)
    return tuple(values.tolist())
