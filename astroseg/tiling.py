"""Tiles: every pixel is owned once, a halo is read around what is owned and cropped again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Region", "Tile", "plan_tiles", "run_tiles", "split_tile", "strips", "widened", "within"]

Region = tuple[slice, slice]
Unit = TypeVar("Unit")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image.

    Parameters
    ----------
    own : pair of slices
        Pixels that this tile answers for.
    read : pair of slices
        ``own`` and its halo, cut at the edges of the image.
    """

    own: Region
    read: Region

    @property
    def crop(self) -> Region:
        """Where ``own`` lies inside ``read``."""
        return within(self.own, self.read)


def strips(shape: tuple[int, int], height: int = 256) -> Iterator[Region]:
    """Cut an image into strips of whole rows, from its origin on."""
    for start in range(0, shape[0], height):
        yield slice(start, min(start + height, shape[0])), slice(0, shape[1])


def split_tile(tile: Tile, halo: int, shape: tuple[int, int], smallest: int) -> list[Tile]:
    """Cut a tile into four, or two; into none where a side would become smaller than that."""
    sides = []
    for part in tile.own:
        middle = (part.start + part.stop) // 2
        large = part.stop - part.start >= 2 * smallest
        sides.append([slice(part.start, middle), slice(middle, part.stop)] if large else [part])
    parts = [(rows, columns) for rows in sides[0] for columns in sides[1]]
    return [Tile(own, widened(own, halo, shape)) for own in parts] if len(parts) > 1 else []


def widened(region: Region, halo: int, shape: tuple[int, int]) -> Region:
    """A region and its halo, cut at the edges of the image."""
    rows, columns = (
        slice(max(part.start - halo, 0), min(part.stop + halo, length))
        for part, length in zip(region, shape, strict=True)
    )
    return rows, columns


def within(region: Region, wide: Region) -> Region:
    """Where a region lies inside of one that holds it."""
    rows, columns = (
        slice(part.start - around.start, part.stop - around.start) for part, around in zip(region, wide, strict=True)
    )
    return rows, columns


def plan_tiles(shape: tuple[int, int], size: int = 1024, halo: int = 0) -> Iterator[Tile]:
    """Cut an image into tiles, pinned to its origin, in raster order.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx) of the image.
    size : int
        Side of the owned squares; those at the far edges are smaller.
    halo : int
        Pixels to read beyond what is owned: at least the radius that a prediction depends on.
    """
    if size < 1 or halo < 0:
        msg = f"Tiles need a size of at least 1 and a halo of at least 0, not {size} and {halo}."
        raise ValueError(msg)
    for y in range(0, shape[0], size):
        for x in range(0, shape[1], size):
            own = (slice(y, min(y + size, shape[0])), slice(x, min(x + size, shape[1])))
            yield Tile(own, widened(own, halo, shape))


def run_tiles(
    function: Callable[[Unit], Result],
    units: Iterable[Unit],
    executor: Executor | None = None,
    window: int | None = None,
    instead: Callable[[Unit, Exception], Iterable[Unit]] | None = None,
) -> Iterator[tuple[Unit, Result]]:
    """Apply a function to every tile, or other unit of work, and yield the results in the order of the units.

    Parameters
    ----------
    function : callable
        Takes a unit.
    units : iterable
    executor : `~concurrent.futures.Executor`, optional
        Any of them; without one the units are worked on here.
    window : int, optional
        How many units are in flight at most: ``Executor.map`` would submit all of them, and with
        them the whole image. By default what the executor has as its ``window``, or 16.
    instead : callable, optional
        Told of a unit that failed, it returns the units to be worked on in its place, or raises the error.
    """
    submit = _at_once if executor is None else executor.submit
    most = 1 if executor is None else window or int(getattr(executor, "window", 16))
    flying: deque = deque()
    waiting = iter(units)
    replacements: deque = deque()
    try:
        while True:
            while len(flying) < most:
                unit = replacements.popleft() if replacements else next(waiting, _NONE)
                if unit is _NONE:
                    break
                flying.append((unit, submit(function, unit)))
            if not flying:
                return
            unit, future = flying.popleft()
            try:
                result = future.result()
            except Exception as error:
                if instead is None:
                    raise
                replacements.extend(instead(unit, error))
            else:
                yield unit, result
    finally:
        for _, future in flying:
            future.cancel()


_NONE: Any = object()


def _at_once(function, unit) -> Future:
    future: Future = Future()
    try:
        future.set_result(function(unit))
    except Exception as error:  # noqa: BLE001 - as an executor does
        future.set_exception(error)
    return future
