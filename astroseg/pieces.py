"""The sources of an image, tile by tile: what lies within a tile is finished there, what crosses a seam afterwards.

Islands are the connected pixels of score 0.5 and more. An island that reaches the border of its tile stays open: its
pixels are handed on, joined with those of the neighbours, and labelled and summed like any other. Nothing of a
source depends on where the seams are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.nddata import CCDData
from scipy import sparse

from astroseg.catalog import TOUCHING
from astroseg.labels import components
from astroseg.mosaic import Mosaic, Place
from astroseg.sums import Sums, sum_labels
from astroseg.tiling import Region, Tile, widened

if TYPE_CHECKING:
    from astroseg.finder import PixelFinder

__all__ = ["IN_SOURCE", "OpenIslands", "Piece", "Seam", "Search", "join_islands"]

_PIXELS = ("island", "pixel", "source")

IN_SOURCE = 0.5  # the score of the faintest pixel of a source


@dataclass(frozen=True)
class OpenIslands:
    """Pixels of islands that go on beyond their tile.

    Parameters
    ----------
    pixel : 1-D `~numpy.ndarray` of int64
        Index into the flattened image.
    island : 1-D `~numpy.ndarray` of int
        Number of the pixel's island, within its tile.
    maps : dict of 1-D `~numpy.ndarray` of float32
        What the finder says of the pixel.
    """

    pixel: np.ndarray
    island: np.ndarray
    maps: dict[str, np.ndarray]


@dataclass(frozen=True)
class Piece:
    """The finished sources of a tile, or of a seam.

    Parameters
    ----------
    sums : `~astroseg.sums.Sums`
        Of each source.
    island : 1-D `~numpy.ndarray` of int64
        First pixel of each source's island, as an index into the flattened image.
    pixel : 1-D `~numpy.ndarray` of int64
        Every pixel of a source, as an index into the flattened image.
    source : 1-D `~numpy.ndarray` of int32
        The source of each pixel, as an index into ``sums``.
    unfinished : OpenIslands
    region : pair of slices
        That the tile owns.
    probability : 2-D `~numpy.ndarray` of float32 or None
        Of the region.
    """

    sums: Sums
    island: np.ndarray
    pixel: np.ndarray
    source: np.ndarray
    unfinished: OpenIslands
    region: Region
    probability: np.ndarray | None = None

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return self.sums.label.size

    @property
    def head(self) -> Piece:
        """The same without what takes the memory: the pixels of its sources, and the map."""
        return replace(self, pixel=np.zeros(0, np.int64), source=np.zeros(0, np.int32), probability=None)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The same as plain arrays."""
        arrays = {"sums": self.sums.packed()}
        arrays |= {name: getattr(self, name) for name in _PIXELS}
        arrays |= {"open.pixel": self.unfinished.pixel, "open.island": self.unfinished.island}
        arrays |= {f"map.{name}": values for name, values in self.unfinished.maps.items()}
        arrays["region"] = np.array([(part.start, part.stop) for part in self.region])
        return arrays if self.probability is None else arrays | {"probability": self.probability}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Piece:
        """The inverse of `to_arrays`."""
        rows, columns = (slice(*map(int, part)) for part in arrays["region"])
        maps = {name.removeprefix("map."): values for name, values in arrays.items() if name.startswith("map.")}
        return cls(
            Sums.unpacked(arrays["sums"]),
            **{name: arrays[name] for name in _PIXELS},
            unfinished=OpenIslands(arrays["open.pixel"], arrays["open.island"], maps),
            region=(rows, columns),
            probability=arrays.get("probability"),
        )


@dataclass(frozen=True)
class Seam:
    """Islands over a seam, all of whose pixels are known.

    Parameters
    ----------
    region : pair of slices
        That holds them.
    pixel : 1-D `~numpy.ndarray` of int64
        Index into the flattened image.
    maps : dict of 1-D `~numpy.ndarray` of float32
    """

    region: Region
    pixel: np.ndarray
    maps: dict[str, np.ndarray]


@dataclass(frozen=True)
class Search:
    """A finder at work on an image; goes to the processes that do the work.

    Parameters
    ----------
    finder : `~astroseg.PixelFinder`
    mosaic : `~astroseg.mosaic.Mosaic`
        With its background.
    prepared : dict
        What the finder's ``prepare`` returned.
    """

    finder: PixelFinder
    mosaic: Mosaic
    prepared: dict[str, Any]

    def tile(self, tile: Tile) -> Piece:
        """Finish the sources of a tile."""
        image = self.mosaic.cut(tile.read)
        maps = self.finder.score(image, **self.prepared)
        own = np.zeros(image.shape, dtype=bool)
        own[tile.crop] = True
        probability = maps["probability"][tile.crop].copy() if self.finder.is_probability else None
        maps["probability"][~own] = 0
        unfinished = _open(maps, tile, image)
        return self._finished(image, maps, unfinished, tile.own, probability)

    def seam(self, seam: Seam) -> Piece:
        """Finish the sources of a seam."""
        image = self.mosaic.cut(widened(seam.region, 1, self.mosaic.shape))
        at = _place_in(image, seam.pixel)
        maps = {}
        for name, values in seam.maps.items():
            maps[name] = np.zeros(image.shape, dtype=np.float32)
            maps[name][at] = values
        nothing = OpenIslands(np.zeros(0, np.int64), np.zeros(0, np.int64), {})
        return self._finished(image, maps, nothing, seam.region, None)

    def _finished(self, image, maps, unfinished, region, probability) -> Piece:
        labels = self.finder.checked_labels(maps, image)
        sums = sum_labels(image, labels, maps["probability"] if self.finder.is_probability else None)
        row, column = np.nonzero(labels)
        source = np.searchsorted(sums.label, labels[row, column]).astype(np.int32)
        pixel = _flat(image, row, column)
        return Piece(sums, _islands(image, labels, sums, row, column), pixel, source, unfinished, region, probability)


def _flat(image: CCDData, row, column) -> np.ndarray:
    """Pixels of a region as indices into the flattened image."""
    place = Place.of(image)
    return (row + place.origin[0]) * np.int64(place.shape[1]) + column + place.origin[1]


def _place_in(image: CCDData, pixel) -> tuple[np.ndarray, np.ndarray]:
    place = Place.of(image)
    row, column = np.divmod(pixel, place.shape[1])
    return row - place.origin[0], column - place.origin[1]


def _open(maps, tile: Tile, image: CCDData) -> OpenIslands:
    """Take the islands that reach the border of the tile, unless that is the image's own, out of the map of scores."""
    score = maps["probability"]
    islands = components(score >= IN_SOURCE)
    height, width = Place.of(image).shape
    rows, columns = tile.crop
    borders = [
        (tile.own[0].start > 0, islands[rows.start, columns]),
        (tile.own[0].stop < height, islands[rows.stop - 1, columns]),
        (tile.own[1].start > 0, islands[rows, columns.start]),
        (tile.own[1].stop < width, islands[rows, columns.stop - 1]),
    ]
    reaching = np.zeros(islands.max(initial=0) + 1, dtype=bool)
    for inner, border in borders:
        if inner:
            reaching[border] = True
    reaching[0] = False
    row, column = np.nonzero(reaching[islands]) if reaching.any() else (np.zeros(0, int), np.zeros(0, int))
    values = {name: part[row, column] for name, part in maps.items()}
    score[row, column] = 0
    return OpenIslands(_flat(image, row, column), islands[row, column].astype(np.int64), values)


def _islands(image, labels, sums, row, column) -> np.ndarray:
    """First pixel of the island of each label: labels that share a border lie in one."""
    if not np.any(sums.flags & TOUCHING):
        return sums.first
    number = components(labels > 0)[row, column]
    _, first = np.unique(number, return_index=True)  # they are numbered from 1 in raster order
    island = np.zeros(sums.label.size, dtype=np.int64)
    island[np.searchsorted(sums.label, labels[row, column])] = _flat(image, row[first], column[first])[number - 1]
    return island


def join_islands(parts: Iterable[OpenIslands], shape: tuple[int, int], size: int) -> Iterator[Seam]:
    """Join the open islands of all tiles to whole ones, and gather those that lie at one seam.

    Parameters
    ----------
    parts : iterable of OpenIslands
    shape : (int, int)
        (ny, nx) of the image.
    size : int
        Side of the tiles: how much is gathered at most. Islands larger than half of it come alone.
    """
    parts = [part for part in parts if part.pixel.size]
    if not parts:
        return
    offsets = np.cumsum([0, *(part.island.max() + 1 for part in parts)])
    pixel = np.concatenate([part.pixel for part in parts])
    island = np.concatenate([part.island + offset for part, offset in zip(parts, offsets[:-1], strict=True)])
    maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in parts[0].maps}
    order = np.argsort(pixel)
    pixel, island = pixel[order], island[order]
    joined = _joined(pixel, island, shape[1])
    boxes = _boxes(*np.divmod(pixel, shape[1]), joined)
    group = _groups(boxes, size)[joined]
    inside = np.argsort(group, kind="stable")
    for members in np.split(inside, np.flatnonzero(np.diff(group[inside])) + 1):
        top, bottom, left, right = boxes[:, joined[members]]
        region = slice(int(top.min()), int(bottom.max()) + 1), slice(int(left.min()), int(right.max()) + 1)
        yield Seam(region, pixel[members], {name: values[order[members]] for name, values in maps.items()})


def _joined(pixel, island, width) -> np.ndarray:
    """Number of the whole island of each pixel (sorted), from 0; neighbouring pixels lie in one."""
    column = pixel % width
    pairs = []
    for step, allowed in (
        (1, column < width - 1),
        (width - 1, column > 0),
        (width, True),
        (width + 1, column < width - 1),
    ):
        at = np.minimum(np.searchsorted(pixel, pixel + step), pixel.size - 1)
        found = np.flatnonzero((pixel[at] == pixel + step) & allowed)
        pairs.append(np.stack([island[found], island[at[found]]]))
    first, second = np.concatenate(pairs, axis=1)
    size = int(island.max()) + 1
    graph = sparse.coo_array((np.ones(first.size, dtype=bool), (first, second)), shape=(size, size))
    number = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.unique(number[island], return_inverse=True)[1]


def _boxes(row, column, island) -> np.ndarray:
    """First and last row, first and last column of each island."""
    number = int(island.max()) + 1
    boxes = np.empty((4, number), dtype=np.int64)
    for box, values in zip(boxes.reshape(2, 2, number), (row, column), strict=True):
        box[0], box[1] = np.iinfo(np.int64).max, -1
        np.minimum.at(box[0], island, values)
        np.maximum.at(box[1], island, values)
    return boxes


def _groups(boxes, size) -> np.ndarray:
    """Islands to be finished together: those that lie along one side of a tile, so that their region is narrow."""
    top, bottom, left, right = boxes
    row, column = (bottom + 1) // size, (right + 1) // size
    along_row = (row > 0) & (row * size >= top)
    key = np.stack([along_row, np.where(along_row, row, top // size), np.where(along_row, left // size, column)])
    large = (bottom - top > size // 2) | (right - left > size // 2)
    alone = np.where(large, np.arange(1, top.size + 1), 0)
    return np.unique(np.vstack([key, alone]), axis=1, return_inverse=True)[1].ravel()
