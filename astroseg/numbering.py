"""Sources that were found piece by piece -> all of them, numbered, and the label image that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astroseg.pieces import Piece
from astroseg.sums import Sums
from astroseg.tiling import Tile, run_tiles

if TYPE_CHECKING:
    from astroseg.streaming import Shelf

__all__ = ["Numbered", "number_sources"]

ROWS = 1024  # of the label image that are made at once


@dataclass(frozen=True)
class Numbered:
    """All sources of an image.

    Parameters
    ----------
    sums : `~astroseg.sums.Sums`
        Of all sources, labelled 1, 2, 3, ... by the raster order of their first pixel.
    islands : 1-D `~numpy.ndarray` of int32
        Number of the island of each.
    labels : 2-D `~numpy.ndarray` of int32
    probability : 2-D `~numpy.ndarray` of float32 or None
    """

    sums: Sums
    islands: np.ndarray
    labels: np.ndarray
    probability: np.ndarray | None


def number_sources(
    kept: Sequence[tuple[Tile, Any]],
    heads: Sequence[Piece],
    closed: Sequence[Piece],
    shelf: Shelf,
    shape: tuple[int, int],
    *,
    probability: bool,
    executor: Executor | None = None,
) -> Numbered:
    """Number the sources by their first pixels, and put them into the label image.

    Parameters
    ----------
    kept : sequence of (`~astroseg.tiling.Tile`, what the shelf returned)
        The pieces of all tiles.
    heads : sequence of `~astroseg.pieces.Piece`
        The same ones; their pixels are not looked at.
    closed : sequence of `~astroseg.pieces.Piece`
        The pieces of the seams.
    shelf : `~astroseg.streaming.Shelf`
        Takes the label image.
    shape : (int, int)
        (ny, nx) of the image.
    probability : bool
        Whether the pieces have a map of probabilities.
    executor : `~concurrent.futures.Executor`, optional
        Fills the label image, where the shelf can be reached from other processes.
    """
    pieces = [*heads, *closed]
    sums = Sums.joined([piece.sums for piece in pieces])
    order = np.argsort(sums.first)
    number = np.empty(order.size, dtype=np.int32)
    number[order] = np.arange(1, order.size + 1)
    islands = np.unique(np.concatenate([piece.island for piece in pieces])[order], return_inverse=True)[1] + 1
    numbers = np.split(number, np.cumsum([piece.n_sources for piece in pieces])[:-1])
    shelf.allot("labels", shape, np.int32)
    if probability:
        shelf.allot("probability", shape, np.float32)
    bands = _bands(kept, numbers[: len(kept)], shape[0])
    for _ in run_tiles(_Painter(shelf, shape[1], probability), bands, executor if shelf.shared else None):
        pass
    labels = shelf.array("labels")
    for piece, own in zip(closed, numbers[len(kept) :], strict=True):
        labels.reshape(-1)[piece.pixel] = own[piece.source]
    sums = sums.taken(order)
    sums.label = np.arange(1, order.size + 1)
    return Numbered(sums, islands.astype(np.int32), labels, shelf.array("probability") if probability else None)


@dataclass(frozen=True)
class _Band:
    """Some rows of the image, and the pieces that lie there, each with the numbers of its sources."""

    start: int
    stop: int
    pieces: list[tuple[Any, np.ndarray]]


def _bands(kept, numbers, height) -> Iterator[_Band]:
    for start in range(0, height, ROWS):
        stop = min(start + ROWS, height)
        there = [
            (item, own)
            for (tile, item), own in zip(kept, numbers, strict=True)
            if tile.own[0].start < stop and start < tile.own[0].stop
        ]
        yield _Band(start, stop, there)


@dataclass(frozen=True)
class _Painter:
    """Fills rows of the label image, and of the map of probabilities; goes to the processes that do the work."""

    shelf: Shelf
    width: int
    probability: bool

    def __call__(self, band: _Band) -> None:
        labels = np.zeros((band.stop - band.start, self.width), dtype=np.int32)
        probability = np.zeros(labels.shape, dtype=np.float32) if self.probability else None
        ends = np.array([band.start, band.stop]) * self.width
        for item, numbers in band.pieces:
            piece = self.shelf.get(item)
            inside = slice(*np.searchsorted(piece.pixel, ends))
            labels.reshape(-1)[piece.pixel[inside] - ends[0]] = numbers[piece.source[inside]]
            if probability is not None:
                rows, columns = piece.region
                first, last = max(rows.start, band.start), min(rows.stop, band.stop)
                part = piece.probability[first - rows.start : last - rows.start]
                probability[first - band.start : last - band.start, columns] = part
        self.shelf.fill("labels", band.start, labels)
        if probability is not None:
            self.shelf.fill("probability", band.start, probability)
