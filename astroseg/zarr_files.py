"""Images as Zarr arrays, read and written region by region. Their attributes are the cards of a FITS header.

Written ones are zip archives: one file each, complete or not there.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astroseg.errors import ImageError, UsageError
from astroseg.file_pixels import trouble
from astroseg.planes import Cut
from astroseg.tiling import Region

__all__ = ["ZarrPixels", "is_zarr", "need_zarr", "open_zarr", "write_zarr"]

CHUNK = 1024  # pixels
_MARKS = ("zarr.json", ".zarray", ".zgroup")  # of Zarr 3 and 2


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder with a Zarr array or group, or a zip archive that is called ``.zarr.zip``."""
    return path.name.endswith(".zarr.zip") or any((path / mark).is_file() for mark in _MARKS)


def need_zarr() -> None:
    """Raise `UsageError` where zarr is not installed."""
    if importlib.util.find_spec("zarr") is None:
        msg = "Zarr needs the package zarr, which is not installed: pip install zarr"
        raise UsageError(msg)


def open_zarr(path: Path, key: str | int | None = None) -> tuple[Any, str, fits.Header]:
    """Open the array of an image.

    Parameters
    ----------
    path : path
        Of an array, or of a group of them.
    key : str, optional
        Which array of a group; by default the first one, by name, of two axes or more.

    Returns
    -------
    `zarr.Array`, str, `~astropy.io.fits.Header`
        The array, its key in the group, and its attributes as far as a FITS header can hold them.

    Raises
    ------
    ImageError
        There is no such array.
    """
    need_zarr()
    import zarr

    store = zarr.storage.ZipStore(path, mode="r") if path.is_file() else path
    found, name = zarr.open(store, mode="r"), ""
    if isinstance(found, zarr.Group):
        arrays = {item: array for item, array in sorted(found.arrays()) if array.ndim > 1}
        name = next(iter(arrays), "") if key is None else str(key)
        if name not in arrays:
            msg = f"{path.name} has no array {name}. It has: {', '.join(arrays) or 'none of two axes'}."
            raise ImageError(msg)
        found = arrays[name]
    return found, name, _header(found)


def _header(array) -> fits.Header:
    header = fits.Header({"NAXIS": array.ndim})
    for axis, length in enumerate(reversed(array.shape), start=1):
        header[f"NAXIS{axis}"] = length
    for key, value in array.attrs.items():
        if len(key) <= 8 and isinstance(value, str | int | float):
            header[key] = value
    return header


class ZarrPixels:
    """The image in a Zarr array, read region by region; as an argument it goes to other processes as its name.

    Parameters
    ----------
    path : path
    key : str
        Of the array in a group, empty where there is none.
    cut : `~astroseg.planes.Cut`
        The image in its array.
    shape : (int, int)
    """

    ndim = 2

    def __init__(self, path: Path, key: str, cut: Cut, shape: tuple[int, int]) -> None:
        self.path = path
        self.key = key
        self.cut = cut
        self.shape = shape
        self._array: Any = None
        self.dtype = self[slice(0, 1), slice(0, 1)].dtype

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_array": None}

    def __getitem__(self, region: Region) -> np.ndarray:
        try:
            if self._array is None:
                self._array = open_zarr(self.path, self.key or None)[0]
            return self.cut.region(self._array, region)
        except Exception as error:
            msg = f"Cannot read {self.path}: {trouble(error)}."
            raise ImageError(msg) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 - NumPy's signature
        return np.asarray(self[slice(0, self.shape[0]), slice(0, self.shape[1])], dtype=dtype)


def write_zarr(values: np.ndarray, header: fits.Header, path: Path) -> None:
    """Write an image, which may be memory-mapped, in chunks.

    Parameters
    ----------
    values : 2-D `~numpy.ndarray`
    header : `~astropy.io.fits.Header`
    path : path
        Of the archive; overwritten.
    """
    need_zarr()
    import zarr

    with zarr.storage.ZipStore(path, mode="w") as store:
        chunks = tuple(min(CHUNK, length) for length in values.shape)
        attributes = {key: header[key] for key in header if key not in ("COMMENT", "HISTORY", "")}
        array = zarr.create_array(store, shape=values.shape, dtype=values.dtype, chunks=chunks, attributes=attributes)
        for top in range(0, values.shape[0], CHUNK):
            array[top : top + CHUNK] = values[top : top + CHUNK]
