"""A pixel finder on an image of any size: tiles, seams, numbers.

The tiles are independent of each other, and may be searched anywhere and kept anywhere; what comes out does not depend
on it, nor on their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from astroseg.errors import AstrosegError, WorkerLostError
from astroseg.mosaic import Mosaic
from astroseg.numbering import Numbered, number_sources
from astroseg.pieces import Search, join_islands
from astroseg.tiling import Region, Tile, plan_tiles, run_tiles, split_tile

if TYPE_CHECKING:
    from astroseg.finder import PixelFinder

__all__ = ["InMemory", "Lost", "Report", "Shelf", "need_some", "run_kept", "search", "silent"]

Report = Callable[[int, int, int], None]

SMALLEST = 128  # pixels: a tile that kills its workers is split down to this side


def silent(done: int, total: int, n_sources: int) -> None:
    """Report nothing."""


class Shelf(Protocol):
    """Where the pieces of a search are kept. What `put` returns has ``n_sources``, and may go to other processes.

    ``shared`` says whether other processes can get the pieces, and fill the arrays.
    """

    shared: bool

    def put(self, tile: Tile, piece: Any) -> Any:
        """Keep what was found in a tile, such as a `~astroseg.pieces.Piece`; returns what `get` wants."""

    def get(self, kept: Any) -> Any:
        """Fetch it again."""

    def known(self, tile: Tile) -> Any | None:
        """What `put` returned earlier, in a run that was interrupted."""

    def allot(self, name: str, shape: tuple[int, int], dtype: type) -> None:
        """Make room for an array of zeros as large as the image."""

    def fill(self, name: str, row: int, values: np.ndarray) -> None:
        """Write whole rows of it, from one row on."""

    def array(self, name: str) -> np.ndarray:
        """The array, which can be changed."""


class InMemory:
    """Keeps the pieces as they are."""

    shared = False

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def put(self, tile: Tile, piece: Any) -> Any:
        """Keep a piece."""
        return piece

    def get(self, kept: Any) -> Any:
        """The piece."""
        return kept

    def known(self, tile: Tile) -> None:
        """Nothing outlives a run."""

    def allot(self, name: str, shape: tuple[int, int], dtype: type) -> None:
        """Make an array of zeros."""
        self._arrays[name] = np.zeros(shape, dtype=dtype)

    def fill(self, name: str, row: int, values: np.ndarray) -> None:
        """Write whole rows of it."""
        self._arrays[name][row : row + len(values)] = values

    def array(self, name: str) -> np.ndarray:
        """The array."""
        return self._arrays[name]


@dataclass(frozen=True)
class Lost:
    """A tile that could not be searched.

    Parameters
    ----------
    region : pair of slices
    reason : str
    """

    region: Region
    reason: str


def search(
    finder: PixelFinder,
    mosaic: Mosaic,
    *,
    tile_size: int,
    executor: Executor | None = None,
    shelf: Shelf | None = None,
    report: Report = silent,
) -> tuple[Numbered, list[Lost]]:
    """Find the sources of an image tile by tile.

    Parameters
    ----------
    finder : `~astroseg.PixelFinder`
        Whose labels are `~astroseg.PixelFinder.local`.
    mosaic : `~astroseg.mosaic.Mosaic`
        With its background.
    tile_size : int
        Side of the tiles in pixels.
    executor : `~concurrent.futures.Executor`, optional
        Searches the tiles; by default they are searched here, one after the other.
    shelf : Shelf, optional
        Keeps the pieces; by default the memory does.
    report : callable
        Told how many tiles are done, of how many, and how many sources they hold.

    Returns
    -------
    `~astroseg.numbering.Numbered`, list of Lost
    """
    shelf = shelf or InMemory()
    work = Search(finder, mosaic, finder.prepare(mosaic))
    halo = max(finder.halo, 1)  # flags look at the neighbours of a pixel
    tiles = list(plan_tiles(mosaic.shape, tile_size, halo))
    split = partial(split_tile, halo=halo, shape=mosaic.shape, smallest=SMALLEST)
    kept, lost = run_kept(_KeptTile(work, shelf), tiles, shelf, executor, report, split=split)
    need_some(kept, lost)
    heads = [shelf.get(item).head for _, item in kept]
    seams = join_islands((head.unfinished for head in heads), mosaic.shape, tile_size)
    closed = [piece for _, piece in run_tiles(work.seam, seams, executor)]
    is_probability = finder.is_probability
    found = number_sources(kept, heads, closed, shelf, mosaic.shape, probability=is_probability, executor=executor)
    return found, lost


def run_kept(
    work: Callable[[Tile], Any],
    tiles: Sequence[Tile],
    shelf: Shelf,
    executor: Executor | None,
    report: Report,
    *,
    split: Callable[[Tile], list[Tile]] = lambda tile: [],  # noqa: ARG005 - a tile that cannot be split
) -> tuple[list[tuple[Tile, Any]], list[Lost]]:
    """Work on the tiles that are not on the shelf yet. What kills its workers is lost, and the rest goes on.

    Parameters
    ----------
    work : callable
        Works on a tile, and puts what it found on the shelf.
    tiles : sequence of `~astroseg.tiling.Tile`
    shelf : Shelf
    executor : `~concurrent.futures.Executor`, optional
    report : callable
    split : callable
        Smaller tiles to be worked on in the place of one that was lost.

    Returns
    -------
    kept : list of (tile, what the shelf returned)
    lost : list of Lost
    """
    kept, todo = [], []
    for tile in tiles:
        earlier = shelf.known(tile)
        todo += [tile] if earlier is None else []
        kept += [] if earlier is None else [(tile, earlier)]
    lost: list[Lost] = []

    def instead(tile: Tile, error: Exception) -> list[Tile]:
        # What is kept in memory only is not worth having in part; and what is wrong everywhere is said at once.
        if isinstance(shelf, InMemory) or not _is_accident(error):
            raise error
        parts = split(tile)
        if not parts:
            lost.append(Lost(tile.own, str(error) or type(error).__name__))
        return parts

    n_sources = sum(item.n_sources for _, item in kept)
    report(len(kept), len(tiles), n_sources)
    for tile, item in run_tiles(work, todo, executor, instead=instead):
        kept.append((tile, item))
        n_sources += item.n_sources
        report(len(kept), len(tiles), n_sources)
    return kept, lost


def need_some(kept: Sequence[Any], lost: Sequence[Lost]) -> None:
    """Raise `AstrosegError` where all of an image is lost."""
    if lost and not kept:
        msg = f"No part of the image could be searched: {lost[0].reason.rstrip('.')}."
        raise AstrosegError(msg)


def _is_accident(error: Exception) -> bool:
    """Whether an error says only that one tile could not be searched: the finder gave up, or its process did."""
    return isinstance(error, MemoryError | WorkerLostError | RuntimeError) or type(error) is AstrosegError


@dataclass(frozen=True)
class _KeptTile:
    """Searches a tile and keeps the piece; where that is a folder, the process that searched writes it."""

    work: Search
    shelf: Shelf

    def __call__(self, tile: Tile) -> Any:
        return self.shelf.put(tile, self.work.tile(tile))
