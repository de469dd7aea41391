"""Any finder on an image of any size: it searches overlapping regions, and what two of them show is taken once.

The regions are always the same, pinned to the origin of the image, so that nothing depends on who searches them and
when. An island belongs to the first region, in raster order, that owns a pixel of it and sees it; those of later
regions that share a pixel with it are the same one. An island that is cut off at the border of its region is searched
again, in a region around all that is seen of it. One that is larger than a region stays cut, and has a flag; its
sources are then taken one by one, from the regions that own their centres.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from astroseg.background import standardize
from astroseg.catalog import CUT, complete, provenance
from astroseg.catalog_files import from_arrays, to_arrays
from astroseg.errors import NoDetectionsWarning
from astroseg.mosaic import Mosaic, Place
from astroseg.streaming import InMemory, Lost, Report, Shelf, need_some, run_kept, silent
from astroseg.tiling import Region, Tile, plan_tiles, widened

if TYPE_CHECKING:
    from astroseg.finder import Detections, SourceFinder

__all__ = ["Part", "search_regions"]

CLAIMED = -1

BORDER = 4  # pixels: a finder need not follow an object to the last one of its region

GRID = 16  # pixels: regions begin at multiples of it, as networks with strides want it


@dataclass(frozen=True)
class Part:
    """What a finder found in a region.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of the islands that have a pixel in what the region owns; places are those in the whole image.
    pixel : 1-D `~numpy.ndarray` of int64
        Every pixel of a source, as an index into the flattened image.
    source : 1-D `~numpy.ndarray` of int32
        Row of each pixel's source.
    cut : 1-D `~numpy.ndarray` of bool
        Whether the island of each source goes on beyond what the region sees.
    region : pair of slices
        That is owned.
    probability : 2-D `~numpy.ndarray` of float32 or None
        Of the region.
    """

    catalog: QTable
    pixel: np.ndarray
    source: np.ndarray
    cut: np.ndarray
    region: Region
    probability: np.ndarray | None = None

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return len(self.catalog)

    @property
    def island(self) -> np.ndarray:
        """Number of each source's island, from 0."""
        return np.unique(np.asarray(self.catalog["island"]), return_inverse=True)[1]

    @property
    def centred(self) -> np.ndarray:
        """Which sources have their centre in what the region owns."""
        inside = np.ones(self.n_sources, dtype=bool)
        for axis, part in zip("yx", self.region, strict=True):
            place = self.catalog[f"{axis}_centroid"].value
            inside &= (place >= part.start) & (place < part.stop)
        return inside

    def sharing(self, pixel: np.ndarray) -> np.ndarray:
        """Which sources lie in islands that hold one of these pixels."""
        return np.isin(self.island, self.island[self.source[np.isin(self.pixel, pixel)]])

    def taken(self, rows: np.ndarray) -> Part:
        """Some of the sources, of whole islands."""
        inside = rows[self.source]
        source = (np.cumsum(rows) - 1)[self.source[inside]].astype(np.int32)
        return replace(
            self, catalog=self.catalog[rows], pixel=self.pixel[inside], source=source, cut=self.cut[rows],
            probability=None,
        )  # fmt: skip

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The same as plain arrays."""
        arrays = {f"catalog.{name}": values for name, values in to_arrays(self.catalog).items()} | {
            "pixel": self.pixel,
            "source": self.source,
            "cut": self.cut,
            "region": np.array([(part.start, part.stop) for part in self.region]),
        }
        return arrays if self.probability is None else arrays | {"probability": self.probability}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Part:
        """The inverse of `to_arrays`."""
        rows, columns = (slice(*map(int, part)) for part in arrays["region"])
        catalog = from_arrays(
            {name.removeprefix("catalog."): values for name, values in arrays.items() if name.startswith("catalog.")}
        )
        pixel, source, cut = (arrays[name] for name in ("pixel", "source", "cut"))
        return cls(catalog, pixel, source, cut, (rows, columns), arrays.get("probability"))


def search_regions(
    finder: SourceFinder,
    mosaic: Mosaic,
    *,
    executor: Executor | None = None,
    shelf: Shelf | None = None,
    report: Report = silent,
) -> tuple[Detections, list[Lost]]:
    """Find the sources of an image region by region.

    Parameters
    ----------
    finder : `~astroseg.SourceFinder`
        Its ``region`` and ``overlap`` say how the image is cut.
    mosaic : `~astroseg.mosaic.Mosaic`
        Its background is measured here, once for all regions, unless it was before or the finder measures its own.
    executor, shelf, report
        As those of `~astroseg.streaming.search`.

    Returns
    -------
    `~astroseg.Detections`, list of `~astroseg.streaming.Lost`
    """
    if finder.background is not None and "background" not in mosaic.meta:
        mosaic = standardize(mosaic, finder.background, executor=executor)
    shelf = shelf or InMemory()
    work = _Work(finder, mosaic, shelf)
    tiles = list(plan_tiles(mosaic.shape, finder.region, finder.overlap))
    kept, lost = run_kept(work, tiles, shelf, executor, report)
    need_some(kept, lost)
    merged = _Merged(shelf, mosaic.shape)
    parts = [merged.without_probability(part) for part in _fetched(kept, shelf)]
    cut = np.unique(np.concatenate([part.pixel[part.cut[part.source]] for part in parts]))
    again, _ = run_kept(work, _around(parts, cut, finder, mosaic.shape), shelf, executor, silent)
    wider = []
    for part in _fetched(again, shelf):  # what was lost of these stays cut
        part.catalog.meta = {}  # what is noted of the regions around it says all
        wider.append(part.taken(part.sharing(cut)))
    for part in (*wider, *parts):
        merged.add(part.taken(~part.cut))
    pieces = [part.taken(part.cut) for part in (*wider, *parts)]
    for piece in pieces:
        piece.catalog.meta = {}  # noted above
    for piece in pieces:
        merged.add(piece.taken(piece.centred), alone=True)
    for piece in pieces:
        merged.add(piece.taken(~piece.centred), alone=True)
    return finder.noted(
        mosaic, merged.catalog(set(provenance(finder, mosaic))), merged.labels, merged.probability
    ), lost


def _fetched(kept: list[tuple[Tile, Any]], shelf: Shelf) -> Iterator[Part]:
    """What was found, in raster order, whoever was the first to find it."""
    for _, item in sorted(kept, key=lambda pair: (pair[0].own[0].start, pair[0].own[1].start)):
        yield shelf.get(item)


def _around(parts: list[Part], cut: np.ndarray, finder: SourceFinder, shape: tuple[int, int]) -> list[Tile]:
    """Regions around all that is seen of the islands that hold these pixels, but for those that would be too large."""
    boxes: list[tuple[int, int, int, int]] = []
    for part in parts if cut.size else ():
        island = part.island
        of_pixel = island[part.source]
        for number in np.unique(island[part.sharing(cut)]):
            row, column = np.divmod(part.pixel[of_pixel == number], shape[1])
            boxes = _joined(boxes, (int(row.min()), int(row.max()), int(column.min()), int(column.max())))
    tiles = []
    for top, bottom, left, right in boxes:
        own = slice(top, bottom + 1), slice(left, right + 1)
        read = widened(_on_grid(own), finder.overlap, shape)
        if max(part.stop - part.start for part in read) <= finder.region + 2 * finder.overlap:
            tiles.append(Tile(own, read))
    return tiles


def _joined(boxes, box) -> list[tuple[int, int, int, int]]:
    """Boxes with one more; those that meet become one."""
    apart = []
    for other in boxes:
        meet = all(box[side] <= other[side + 1] and other[side] <= box[side + 1] for side in (0, 2))
        if meet:
            both = zip(box, other, strict=True)
            box = tuple(max(pair) if number % 2 else min(pair) for number, pair in enumerate(both))
        else:
            apart.append(other)
    return _joined(apart, box) if len(apart) < len(boxes) else [*boxes, box]


def _on_grid(region: Region) -> Region:
    rows, columns = (slice(part.start // GRID * GRID, -(-part.stop // GRID) * GRID) for part in region)
    return rows, columns


class _Merged:
    """The parts that were added so far, in raster order."""

    def __init__(self, shelf: Shelf, shape: tuple[int, int]) -> None:
        self._shelf = shelf
        self.labels = self._zeros("labels", shape, np.int32)
        self.probability: np.ndarray | None = None
        self._catalogs: list[QTable] = []
        self._claimed: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._sources: list[np.ndarray] = []  # of each pixel, counted over all parts
        self._islands: list[np.ndarray] = []  # of each source: the island's first pixel
        self._number = 0

    def _zeros(self, name, shape, dtype) -> np.ndarray:
        self._shelf.allot(name, shape, dtype)
        return self._shelf.array(name)

    def add(self, part: Part, *, alone: bool = False) -> None:
        """Add what a region found and no earlier one did, by islands, or each source alone."""
        flat = self.labels.reshape(-1)
        new, island = _unclaimed(part, flat, alone=alone)
        inside = new[part.source]
        self._claimed.append(part.pixel[~inside])
        self._pixels.append(part.pixel[inside])
        self._sources.append(self._number + (np.cumsum(new) - 1)[part.source[inside]])
        self._islands.append(island[new])
        catalog = part.catalog[new]
        catalog["flags"] |= np.where(part.cut[new], CUT, 0)
        self._catalogs.append(catalog)
        self._number += int(np.count_nonzero(new))
        flat[part.pixel] = CLAIMED  # also where they are more of an object that was taken before

    def without_probability(self, part: Part) -> Part:
        """Take the map of a region over; returns what is left."""
        if part.probability is not None:
            if self.probability is None:
                self.probability = self._zeros("probability", self.labels.shape, np.float32)
            self.probability[part.region] = part.probability
        return replace(part, probability=None)

    def catalog(self, stamped: set[str]) -> QTable:
        """Number all sources by their first pixels, in the label image too."""
        pixel, source = np.concatenate(self._pixels), np.concatenate(self._sources)
        first = np.full(self._number, self.labels.size)
        np.minimum.at(first, source, pixel)
        order = np.argsort(first)
        number = np.empty(order.size, dtype=np.int32)
        number[order] = np.arange(1, order.size + 1)
        for claimed in self._claimed:
            self.labels.reshape(-1)[claimed] = 0
        self.labels.reshape(-1)[pixel] = number[source]
        catalog = _stacked(self._catalogs, stamped)[order]
        island = np.unique(np.concatenate(self._islands)[order], return_inverse=True)[1] + 1
        catalog["label"], catalog["island"] = np.sort(number), island.astype(np.int32)
        return catalog


def _unclaimed(part: Part, flat, *, alone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which sources of a part are new, and the first pixel of each source's island."""
    island = part.island
    first = np.full(island.max(initial=-1) + 1, flat.size)
    np.minimum.at(first, island[part.source], part.pixel)
    group = np.arange(part.n_sources) if alone else island
    taken = np.zeros(part.n_sources, dtype=bool)
    taken[group[part.source[flat[part.pixel] == CLAIMED]]] = True
    return ~taken[group], first[island]


def _stacked(catalogs: list[QTable], stamped: set[str]) -> QTable:
    """All rows, and what the finder noted of each region; the provenance is noted anew, of the whole."""
    notes: dict[str, Any] = {}
    for catalog in catalogs:
        for key, value in catalog.meta.items():
            if key not in stamped:
                notes[key] = [*notes.get(key, []), *value] if isinstance(value, list) else value
        catalog.meta = {}
    # An empty table has lost the types of its texts.
    result = vstack([catalog for catalog in catalogs if len(catalog)] or catalogs[:1], metadata_conflicts="silent")
    result.meta = notes
    return result


@dataclass(frozen=True)
class _Work:
    """Searches a region and keeps what it found."""

    finder: SourceFinder
    mosaic: Mosaic
    shelf: Shelf

    def __call__(self, tile: Tile) -> Any:
        image = self.mosaic.cut(tile.read)
        if image.mask is not None and image.mask.all():
            pixel, source, cut = (np.zeros(0, dtype=kind) for kind in (np.int64, np.int32, bool))
            return self.shelf.put(tile, Part(complete(QTable(), image), pixel, source, cut, tile.own))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoDetectionsWarning)
            found = self.finder.find(image)
        row, column = np.nonzero(found.labels)
        source = np.searchsorted(np.asarray(found.catalog["label"]), found.labels[row, column]).astype(np.int32)
        place = Place.of(image)
        pixel = (row + place.origin[0]) * np.int64(place.shape[1]) + column + place.origin[1]
        island = np.asarray(found.catalog["island"])
        beyond = np.isin(island, island[source[_at_border(tile, place, row, column)]])
        owned = np.zeros(image.shape, dtype=bool)
        owned[tile.crop] = True
        ours = np.isin(island, island[source[owned[row, column]]])
        part = Part(_moved(found.catalog, place), pixel, source, beyond, tile.own).taken(ours)
        if found.probability is not None:
            part = replace(part, probability=np.array(found.probability[tile.crop]))
        return self.shelf.put(tile, part)


def _at_border(tile: Tile, place: Place, row, column) -> np.ndarray:
    """Which pixels of a region lie at a border of it that is not one of the image."""
    at = np.zeros(row.size, dtype=bool)
    for read, length, where in zip(tile.read, place.shape, (row, column), strict=True):
        at |= (read.start > 0) & (where < BORDER)
        at |= (read.stop < length) & (where >= read.stop - read.start - BORDER)
    return at


def _moved(catalog: QTable, place: Place) -> QTable:
    """Positions in pixels counted from the origin of the whole image, in the notes too."""
    y, x = place.origin
    catalog["x_centroid"] += x * u.pix
    catalog["y_centroid"] += y * u.pix
    for notes in catalog.meta.values():
        for note in notes if isinstance(notes, list) else ():
            if isinstance(note, dict) and {"x", "y"} <= note.keys():
                note["x"], note["y"] = note["x"] + x, note["y"] + y
    return catalog
