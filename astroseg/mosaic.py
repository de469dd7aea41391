"""An image of any size, read region by region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.units import UnitBase
from astropy.wcs import WCS

from astroseg.blank import Blank
from astroseg.tiling import Region

__all__ = ["Mosaic", "Place", "as_mosaic"]


@dataclass(frozen=True)
class Place:
    """Where a region that was cut out of an image lies.

    Parameters
    ----------
    origin : (int, int)
        Row and column of its first pixel.
    shape : (int, int)
        (ny, nx) of the whole image.
    """

    origin: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, image: CCDData) -> Place:
        """The place of an image that `Mosaic.cut` made; any other is whole."""
        return image.meta.get("place") or cls((0, 0), image.shape)


class Mosaic:
    """An image that need not fit in memory: what a `~astropy.nddata.CCDData` has, and regions cut out of it.

    Parameters
    ----------
    frame : `~astropy.nddata.CCDData`
        The image. Its ``data`` may be anything that gives a region as an array: `~astroseg.file_pixels.FilePixels`.
    blank : `~astroseg.blank.Blank`
        Which of its pixels are blank.
    """

    def __init__(self, frame: CCDData, blank: Blank) -> None:
        self._frame = frame
        self._blank = blank

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        rows, columns = self._frame.data.shape
        return rows, columns

    @property
    def unit(self) -> UnitBase:
        """Unit of the pixels."""
        return self._frame.unit

    @property
    def wcs(self) -> WCS | None:
        """World coordinates."""
        return self._frame.wcs

    @property
    def meta(self) -> dict[str, Any]:
        """What `~astroseg.read_image` puts there, and the background."""
        return self._frame.meta

    @property
    def psf(self) -> np.ndarray | None:
        """The point spread function, where it is known."""
        return self._frame.psf

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""
        return self._frame.data.dtype

    @cached_property
    def data(self) -> np.ndarray:
        """All pixels, in memory or memory-mapped."""
        return self.pixels(self.whole)

    @cached_property
    def mask(self) -> np.ndarray | None:
        """All blank pixels, in memory."""
        return self.blank_pixels(self.whole)

    @property
    def whole(self) -> Region:
        """The region that is the image."""
        return slice(0, self.shape[0]), slice(0, self.shape[1])

    def pixels(self, region: Region) -> np.ndarray:
        """The pixels of a region."""
        return np.asarray(self._frame.data[region])

    def blank_pixels(self, region: Region) -> np.ndarray | None:
        """Where the pixels of a region are blank; `None` where none of them is."""
        return self._blank.mask(self.pixels, region)

    def cut(self, region: Region) -> CCDData:
        """A region as an image of its own, which knows its `Place`."""
        meta = self.meta | {"place": Place((region[0].start, region[1].start), self.shape)}
        if "background" in meta:
            meta["background"] = meta["background"].cut(region)
        wcs = None if self.wcs is None else self.wcs.slice(region)
        image = CCDData(self.pixels(region), unit=self.unit, wcs=wcs, mask=self.blank_pixels(region), meta=meta)
        image.psf = self.psf
        return image

    def as_image(self) -> CCDData:
        """All of it, in memory."""
        image = CCDData(self.data, unit=self.unit, wcs=self.wcs, mask=self.mask, meta=dict(self.meta))
        image.psf = self.psf
        return image

    def replaced(self, *, meta: dict[str, Any], blank: np.ndarray | None) -> Mosaic:
        """The same with more in its meta, and more blank pixels."""
        frame = CCDData(self._frame.data, unit=self.unit, wcs=self.wcs, meta=self.meta | meta)
        frame.psf = self.psf
        return Mosaic(frame, self._blank if blank is None else self._blank.with_mask(blank))


def as_mosaic(image: CCDData | Mosaic) -> Mosaic:
    """Any image that was read, as one to be cut."""
    return image if isinstance(image, Mosaic) else Mosaic(image, Blank(image.shape, image.mask))
