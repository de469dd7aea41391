"""Any finder on an image of any size: it searches overlapping regions, and what two of them show is taken once.

The regions are always the same, pinned to the origin of the image, so that nothing depends on who searches them and
when. An island belongs to the first region, in raster order, that owns a pixel of it and sees it; those of later
regions that share a pixel with it are the same one. What is larger than the overlap is seen in part only.
"""

from __future__ import annotations

import io
import warnings
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from astroseg.catalog import complete, provenance
from astroseg.errors import NoDetectionsWarning
from astroseg.mosaic import Mosaic, Place
from astroseg.streaming import InMemory, Lost, Report, Shelf, run_kept, silent
from astroseg.tiling import Region, Tile, plan_tiles

if TYPE_CHECKING:
    from astroseg.finder import Detections, SourceFinder

__all__ = ["Part", "search_regions"]

CLAIMED = -1


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
    region : pair of slices
        That is owned.
    probability : 2-D `~numpy.ndarray` of float32 or None
        Of the region.
    """

    catalog: QTable
    pixel: np.ndarray
    source: np.ndarray
    region: Region
    probability: np.ndarray | None = None

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return len(self.catalog)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The same as plain arrays."""
        text = io.StringIO()
        self.catalog.write(text, format="ascii.ecsv")
        arrays = {
            "catalog": np.frombuffer(text.getvalue().encode(), dtype=np.uint8),
            "pixel": self.pixel,
            "source": self.source,
            "region": np.array([(part.start, part.stop) for part in self.region]),
        }
        return arrays if self.probability is None else arrays | {"probability": self.probability}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Part:
        """The inverse of `to_arrays`."""
        rows, columns = (slice(*map(int, part)) for part in arrays["region"])
        catalog = QTable.read(arrays["catalog"].tobytes().decode(), format="ascii.ecsv")
        return cls(catalog, arrays["pixel"], arrays["source"], (rows, columns), arrays.get("probability"))


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
        With its background, unless the finder measures its own.
    executor, shelf, report
        As those of `~astroseg.streaming.search`.

    Returns
    -------
    `~astroseg.Detections`, list of `~astroseg.streaming.Lost`
    """
    shelf = shelf or InMemory()
    tiles = list(plan_tiles(mosaic.shape, finder.region, finder.overlap))
    kept, lost = run_kept(_Work(finder, mosaic, shelf), tiles, shelf, executor, report)
    kept.sort(key=lambda pair: (pair[0].own[0].start, pair[0].own[1].start))
    merged = _Merged(shelf, mosaic.shape)
    for _, item in kept:
        merged.add(shelf.get(item))
    return finder.noted(
        mosaic, merged.catalog(set(provenance(finder, mosaic))), merged.labels, merged.probability
    ), lost


class _Merged:
    """The parts that were added so far, in raster order."""

    def __init__(self, shelf: Shelf, shape: tuple[int, int]) -> None:
        self.labels = shelf.array("labels", shape, np.int32)
        self.probability: np.ndarray | None = None
        self._map = lambda: shelf.array("probability", shape, np.float32)
        self._catalogs: list[QTable] = []
        self._claimed: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._sources: list[np.ndarray] = []  # of each pixel, counted over all parts
        self._islands: list[np.ndarray] = []  # of each source: the island's first pixel
        self._number = 0

    def add(self, part: Part) -> None:
        """Add what a region found and no earlier one did."""
        flat = self.labels.reshape(-1)
        new, island = _unclaimed(part, flat)
        inside = new[part.source]
        self._claimed.append(part.pixel[~inside])
        self._pixels.append(part.pixel[inside])
        self._sources.append(self._number + (np.cumsum(new) - 1)[part.source[inside]])
        self._islands.append(island[new])
        self._catalogs.append(part.catalog[new])
        self._number += int(np.count_nonzero(new))
        flat[part.pixel] = CLAIMED  # also where they are more of an object that was taken before
        if part.probability is not None:
            self.probability = self._map() if self.probability is None else self.probability
            self.probability[part.region] = part.probability

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


def _unclaimed(part: Part, flat) -> tuple[np.ndarray, np.ndarray]:
    """Which sources of a part are new, and the first pixel of each source's island."""
    island = np.unique(np.asarray(part.catalog["island"]), return_inverse=True)[1]
    first = np.full(island.max(initial=-1) + 1, flat.size)
    np.minimum.at(first, island[part.source], part.pixel)
    taken = np.zeros(first.size, dtype=bool)
    taken[island[part.source[flat[part.pixel] == CLAIMED]]] = True
    return ~taken[island], first[island]


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
            nothing = np.zeros(0, dtype=np.int64)
            return self.shelf.put(tile, Part(complete(QTable(), image), nothing, nothing.astype(np.int32), tile.own))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoDetectionsWarning)
            found = self.finder.find(image)
        row, column = np.nonzero(found.labels)
        source = np.searchsorted(np.asarray(found.catalog["label"]), found.labels[row, column])
        owned = np.zeros(image.shape, dtype=bool)
        owned[tile.crop] = True
        island = np.asarray(found.catalog["island"])
        ours = np.isin(island, island[source[owned[row, column]]])
        inside = ours[source]
        place = Place.of(image)
        pixel = (row[inside] + place.origin[0]) * np.int64(place.shape[1]) + column[inside] + place.origin[1]
        catalog = _moved(found.catalog[ours], place)
        probability = None if found.probability is None else np.array(found.probability[tile.crop])
        source = (np.cumsum(ours) - 1)[source[inside]].astype(np.int32)
        return self.shelf.put(tile, Part(catalog, pixel, source, tile.own, probability))


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
