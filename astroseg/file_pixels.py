"""The pixels of a FITS file, read region by region."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from astroseg.errors import ImageError
from astroseg.planes import Cut
from astroseg.tiling import Region

__all__ = ["FilePixels", "trouble"]


class FilePixels:
    """The image in a FITS file, read region by region; as an argument it goes to other processes as its name.

    Parameters
    ----------
    path : path
    number : int
        Of the extension.
    cut : `~astroseg.planes.Cut`
        The image in its array.
    shape : (int, int)
    """

    ndim = 2

    def __init__(self, path: Path, number: int, cut: Cut, shape: tuple[int, int]) -> None:
        self.path = path
        self.number = number
        self.cut = cut
        self.shape = shape
        self._mapped: np.ndarray | None = None
        self.dtype = self[slice(0, 1), slice(0, 1)].dtype

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_mapped": None}

    def __getitem__(self, region: Region) -> np.ndarray:
        if self._mapped is not None:
            return self._mapped[region]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                return self._read(region)
        except Exception as error:
            msg = f"Cannot read {self.path}: {trouble(error)}."
            raise ImageError(msg) from error

    def _read(self, region) -> np.ndarray:
        with fits.open(self.path) as hdul:
            hdu = hdul[self.number]
            if not _can_be_mapped(hdu):
                return self.cut.region(hdu.section, region)
            self._mapped = self.cut.of(hdu.data)
            return self._mapped[region]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 - NumPy's signature
        return np.asarray(self[slice(0, self.shape[0]), slice(0, self.shape[1])], dtype=dtype)


def _can_be_mapped(hdu) -> bool:
    """Whether the file holds the pixels as they are, neither compressed nor scaled."""
    if isinstance(hdu, fits.CompImageHDU):
        return False
    scaled = any(key in hdu.header for key in ("BSCALE", "BZERO", "BLANK"))
    return not scaled and not getattr(hdu.fileinfo()["file"], "compression", None)


def trouble(error: Exception) -> str:
    """What is wrong with a file, from what astropy says about it."""
    text = (str(error).splitlines() or [""])[0].rstrip(". ")
    reasons = {
        "Empty or corrupt": "it is empty, truncated or not a FITS file",
        "No SIMPLE card": "it is not a FITS file",
        "not a FITS": "it is not a FITS file",
        "Zip files": "it is a zip archive of several files; unpack it first",
    }
    damaged = f"it is damaged or truncated ({type(error).__name__}: {text[:120]})"
    return next((reason for key, reason in reasons.items() if key in text), damaged)
