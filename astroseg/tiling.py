"""Tiles: every pixel is owned once, a halo is read around what is owned and cropped again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Tile", "plan_tiles", "run_tiles"]

Region = tuple[slice, slice]
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
        rows, columns = (
            slice(own.start - read.start, own.stop - read.start) for own, read in zip(self.own, self.read, strict=True)
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
            rows, columns = (
                slice(max(part.start - halo, 0), min(part.stop + halo, length))
                for part, length in zip(own, shape, strict=True)
            )
            yield Tile(own, (rows, columns))


def run_tiles(
    function: Callable[[Tile], Result],
    tiles: Iterable[Tile],
    executor: Executor | None = None,
    window: int = 16,
) -> Iterator[tuple[Tile, Result]]:
    """Apply a function to every tile and yield the results in the order of the tiles.

    Parameters
    ----------
    function : callable
        Takes a `Tile`.
    tiles : iterable of `Tile`
    executor : `~concurrent.futures.Executor`, optional
        Any of them; without one the tiles run here.
    window : int
        How many tiles are in flight at most: ``Executor.map`` would submit all of them, and with
        them the whole image.
    """
    if executor is None:
        for tile in tiles:
            yield tile, function(tile)
        return
    flying: deque = deque()
    try:
        for tile in tiles:
            flying.append((tile, executor.submit(function, tile)))
            if len(flying) >= window:
                done, future = flying.popleft()
                yield done, future.result()
        while flying:
            done, future = flying.popleft()
            yield done, future.result()
    finally:
        for _, future in flying:
            future.cancel()
