"""Whatever holds an image -> a 2-D `~astropy.nddata.CCDData` that every finder understands.

Of the result, ``meta["beam"]`` is a `~astroseg.Beam` or `None`, ``meta["name"]`` what to call the
image in messages, ``meta["path"]`` the file or `None`, ``meta["header"]`` the FITS header. ``mask``
is True where a pixel is blank (not finite, masked by the user, or part of a large area of zeros).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from scipy.ndimage import maximum_filter1d

from astroseg.beam import Beam
from astroseg.errors import AstrosegWarning, ImageError, UsageError
from astroseg.header import find_beam, find_unit, find_wcs, parse_unit

__all__ = ["checksum", "read_image", "read_map"]

# Zeros are blank where they fill a square of this side: the border of a mosaic does, the empty
# pixels of a photon-counting image do not.
ZERO_BOX = 16


def read_image(
    source: Any,
    *,
    hdu: int | str | None = None,
    plane: str | int | None = None,
    unit: str | u.UnitBase | None = None,
    beam: Beam | str | None = None,
    mask: Any = None,
    keep_zeros: bool = False,
) -> CCDData:
    """Read an image from a FITS file or anything that carries one.

    Parameters
    ----------
    source : path, HDU, `~astropy.nddata.NDData`, sunpy ``Map`` or 2-D array
        FITS files may be gzipped, tile-compressed, and have 2 to 5 axes. An image that this
        function made is returned as it is.
    hdu : int or str, optional
        Number or name of the extension. By default the first one that holds an image.
    plane : int or str, optional
        0-based index along each axis that is neither celestial nor of length 1, in the order of
        the header, separated by commas.
    unit : str or unit, optional
        Overrules the unit of the header.
    beam : `~astroseg.Beam` or str ``MAJ,MIN,PA``, optional
        Overrules the beam of the header. Plain numbers are arcsec and degrees.
    mask : path or 2-D array, optional
        Non-zero (and NaN) pixels are blank, in addition to those that are not finite.
    keep_zeros : bool, optional
        Treat large areas of exact zeros as data. By default they are blank, as mosaics are
        filled with them, and a warning says so.

    Returns
    -------
    `~astropy.nddata.CCDData`
        Shape (ny, nx). The data are memory-mapped where the file allows it.

    Raises
    ------
    ImageError
        When there is no usable image; the message says what would work.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg import read_image
    >>> image = read_image(np.ones((32, 48)), unit="mJy/beam", beam="6,5,30")
    >>> image.shape, image.meta["beam"]
    ((32, 48), Beam(6 arcsec, 5 arcsec, 30 deg))
    """
    if isinstance(source, CCDData) and "beam" in source.meta and "name" in source.meta:
        image = source.copy() if any(option is not None for option in (unit, beam, mask)) else source
    elif isinstance(source, str | os.PathLike):
        image = _from_file(Path(source), hdu, plane, unit)
    elif isinstance(source, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
        image = _from_hdu(source, None, plane, unit, source.name.lower() or "HDU", None)
    elif hasattr(source, "data") and hasattr(source, "wcs"):
        image = _from_nddata(source)
    else:
        image = _from_array(np.asarray(source), "array")
    if unit is not None:
        image.unit = _unit_option(unit)
    if beam is not None:
        image.meta["beam"] = Beam.parse(beam) if isinstance(beam, str) else beam
    if mask is not None:
        given = read_map(mask, image.shape, "mask")
        image.mask = _or(image.mask, ~(given == 0))
    if image is not source:
        _blank(image, keep_zeros)
    return image


def read_map(source: Any, shape: tuple[int, int], what: str) -> np.ndarray:
    """Read a mask, background or noise map that belongs to an image of ``shape``."""
    if isinstance(source, str | os.PathLike):
        data = np.asarray(_from_file(Path(source), None, None, "").data)
    else:
        data = np.asarray(getattr(source, "data", source)).squeeze()
    if data.shape != tuple(shape):
        msg = f"The {what} has {_size(data.shape)} pixels, the image {_size(shape)}; they must be on the same grid."
        raise ImageError(msg)
    return data


def checksum(image: CCDData) -> str:
    """Return the SHA-256 of the image's file, or of its pixels where it has none."""
    digest = hashlib.sha256()
    if image.meta.get("path"):
        with open(image.meta["path"], "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    else:
        digest.update(np.ascontiguousarray(image.data).tobytes())
    return digest.hexdigest()


def _from_file(path: Path, hdu, plane, unit) -> CCDData:
    if not path.exists():
        msg = f"There is no file {path}."
        raise ImageError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; give the FITS files in it."
        raise ImageError(msg)
    try:
        with warnings.catch_warnings(), fits.open(path) as hdul:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", AstrosegWarning)
            chosen = _choose_hdu(hdul, hdu, path.name)
            return _from_hdu(chosen, hdul, plane, unit, path.name, path)
    except ImageError:
        raise
    except PermissionError as error:
        msg = f"No permission to read {path}."
        raise ImageError(msg) from error
    except OSError as error:
        text = str(error)
        reason = {
            "Empty or corrupt": "it is empty or truncated",
            "No SIMPLE card": "it is not a FITS file",
            "not a FITS": "it is not a FITS file",
        }
        why = next((say for key, say in reason.items() if key in text), text.splitlines()[0] if text else "unknown")
        msg = f"Cannot read {path}: {why}."
        raise ImageError(msg) from error
    except Exception as error:
        lines = str(error).splitlines() or [""]
        msg = f"Cannot read {path}: it is damaged or truncated ({type(error).__name__}: {lines[0][:120]})."
        raise ImageError(msg) from error


def _choose_hdu(hdul, hdu, name):
    if hdu is not None:
        key = int(hdu) if str(hdu).isdigit() else str(hdu)
        try:
            return hdul[key]
        except (KeyError, IndexError) as error:
            have = ", ".join(f"{number} {item.name}".strip() for number, item in enumerate(hdul))
            msg = f"{name} has no HDU {hdu}. It has: {have}."
            raise ImageError(msg) from error
    images = [(number, item) for number, item in enumerate(hdul) if item.is_image and len(item.shape) > 0]
    if not images:
        msg = f"{name} holds no image, only {', '.join(type(item).__name__ for item in hdul)}."
        raise ImageError(msg)
    planar = [pair for pair in images if len(pair[1].shape) > 1] or images
    if len(planar) > 1:
        warnings.warn(
            f"{name} holds {len(planar)} images; reading HDU {planar[0][0]}. Choose another with --hdu.",
            AstrosegWarning,
            stacklevel=4,
        )
    return planar[0][1]


def _from_hdu(hdu, hdul, plane, unit, name, path) -> CCDData:
    if not hdu.is_image:
        msg = f"HDU {hdu.name} of {name} is a table, not an image."
        raise ImageError(msg)
    header = hdu.header
    shape = hdu.shape
    if len(shape) < 2:
        msg = f"{name} has {len(shape)} axes; an image needs at least two."
        raise ImageError(msg)
    wcs = find_wcs(header, name, hdul)
    index, number, swap = _plane_index(shape, header, wcs, plane, name)
    data = hdu.data[index]
    data = data.T if swap else data
    _check_array(data, name)
    beam = find_beam(header, hdul, number, name)
    if unit is None:
        found = find_unit(header, name)
        if found is None and beam is not None and wcs is not None and wcs.has_celestial and _is_radio(header):
            warnings.warn(
                f"{name} has no unit; as it has a beam, Jy/beam is assumed. Overrule it with --unit.",
                AstrosegWarning,
                stacklevel=4,
            )
            found = u.Jy / u.beam
    else:
        found = None
    if wcs is not None and wcs.has_celestial:
        wcs = wcs.celestial
    elif wcs is not None:
        wcs = wcs.sub(2)
    return _make(data, found, wcs, beam, header, name, path)


def _is_radio(header) -> bool:
    """A beam in the header of a solar image is not one of an interferometer's."""
    return not str(header.get("CTYPE1", "")).upper().startswith(("HP", "HG", "CR"))


def _plane_index(shape, header, wcs, plane, name):
    """Return the index of the 2-D image, the plane's number for beam tables, and whether to transpose."""
    n_axes = len(shape)
    celestial = (0, 1)
    if wcs is not None and wcs.has_celestial and max(wcs.wcs.lng, wcs.wcs.lat) < n_axes:
        celestial = (wcs.wcs.lng, wcs.wcs.lat)
    index: list[Any] = [slice(None) if axis in celestial else 0 for axis in range(n_axes)]
    deep = [axis for axis in range(n_axes) if axis not in celestial and shape[n_axes - 1 - axis] > 1]
    wanted = [] if plane is None else str(plane).split(",")
    axes = ", ".join(
        f"{str(header.get(f'CTYPE{axis + 1}', '')).strip() or 'no name'} (axis {axis + 1}, 0 to "
        f"{shape[n_axes - 1 - axis] - 1})"
        for axis in deep
    )
    if len(wanted) != len(deep):
        if not deep:
            msg = f"{name} has a single plane; leave --plane out."
        else:
            example = ",".join("0" for _ in deep)
            msg = f"{name} has several planes along {axes}. Choose one with --plane, for example --plane {example}."
        raise ImageError(msg)
    for axis, text in zip(deep, wanted, strict=True):
        length = shape[n_axes - 1 - axis]
        if not text.strip().isdigit() or int(text) >= length:
            msg = f"{name} has no plane '{text}'. Choose along {axes}."
            raise ImageError(msg)
        index[axis] = int(text)
    return tuple(reversed(index)), int(wanted[0]) if wanted else 0, celestial[0] > celestial[1]


def _from_nddata(source) -> CCDData:
    data = np.asarray(source.data)
    name = str(getattr(source, "meta", {}).get("name", "") or "image")
    _check_array(data, name)
    meta = dict(getattr(source, "meta", {}) or {})
    mask = getattr(source, "mask", None)
    found = getattr(source, "unit", None)
    image = _make(data, found, source.wcs, meta.get("beam"), None, name, None)
    header = fits.Header()
    for key, value in meta.items():
        if isinstance(value, str | int | float) and len(key) <= 8 and "\n" not in str(value):
            header[key] = value
    image.meta["header"] = header
    if image.meta["beam"] is None:
        image.meta["beam"] = find_beam(header, None, 0, name)
    image.mask = None if mask is None else np.array(mask, dtype=bool)
    psf = getattr(source, "psf", None)
    if psf is not None:
        image.psf = np.asarray(psf)
    return image


def _from_array(data: np.ndarray, name: str) -> CCDData:
    data = data.reshape(data.shape[-2:]) if data.ndim > 2 and data.size == np.prod(data.shape[-2:]) else data
    _check_array(data, name)
    return _make(data, None, None, None, fits.Header(), name, None)


def _check_array(data, name):
    if data is None or data.ndim != 2:
        msg = f"{name} has {0 if data is None else data.ndim} axes; an image has two."
        raise ImageError(msg)
    if data.dtype.kind not in "iuf":
        msg = f"{name} holds {data.dtype} values; an image needs real numbers."
        raise ImageError(msg)
    if data.size == 0:
        msg = f"{name} has no pixels."
        raise ImageError(msg)


def _make(data, unit, wcs, beam, header, name, path) -> CCDData:
    meta = {"beam": beam, "header": header, "name": name, "path": None if path is None else str(path.resolve())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CCDData(data, unit=unit or u.dimensionless_unscaled, wcs=wcs, meta=meta)


def _unit_option(unit):
    if isinstance(unit, u.UnitBase):
        return unit
    try:
        return parse_unit(unit)
    except (ValueError, TypeError) as error:
        msg = f"Cannot read the unit '{unit}'. Examples: Jy/beam, mJy/beam, MJy/sr, DN, ct/s."
        raise UsageError(msg) from error


def _blank(image: CCDData, keep_zeros: bool) -> None:
    """Mask the pixels that are not finite and, unless told not to, the large areas of zeros."""
    blank = image.mask
    if image.data.dtype.kind == "f":
        finite = np.isfinite(image.data)
        blank = blank if finite.all() else _or(blank, ~finite)
        zeros = None if keep_zeros else _zero_areas(image.data)
        if zeros is not None:
            warnings.warn(
                f"{zeros.mean():.1%} of {image.meta['name']} lies in large areas of exact zeros, taken as blank. "
                "Tell otherwise with --keep-zeros.",
                AstrosegWarning,
                stacklevel=3,
            )
            blank = _or(blank, zeros)
    image.mask = blank


def _zero_areas(data) -> np.ndarray | None:
    """Pixels in a square of `ZERO_BOX` zeros (cut at the edges of the image), or `None`."""
    zero = data == 0
    if np.count_nonzero(zero) < min(ZERO_BOX, data.shape[0]) * min(ZERO_BOX, data.shape[1]):
        return None
    # A pixel belongs to such a square when it survives an opening; both filters are separable,
    # and the second one's origin mirrors the first one's because the side is even.
    other = ~zero
    for axis in (0, 1):
        size = min(ZERO_BOX, data.shape[axis])
        other = maximum_filter1d(other.view(np.uint8), size, axis=axis, mode="constant", cval=1).view(bool)
    area = ~other
    for axis in (0, 1):
        size = min(ZERO_BOX, data.shape[axis])
        origin = -1 if size % 2 == 0 else 0
        area = maximum_filter1d(area.view(np.uint8), size, axis=axis, mode="constant", origin=origin).view(bool)
    return area if area.any() else None


def _or(mask, other):
    return other if mask is None else mask | other


def _size(shape) -> str:
    return " x ".join(str(length) for length in reversed(shape))
