"""Whatever holds an image -> a 2-D `~astropy.nddata.CCDData` that every finder understands.

Of the result, ``meta["beam"]`` is a `~astroseg.Beam` or `None`, ``meta["name"]`` what to call the
image in messages, ``meta["path"]`` the file or `None`, ``meta["header"]`` the FITS header. ``mask``
is True where a pixel is blank (not finite, masked by the user, or part of a large area of zeros).
``psf`` is the point spread function, where the file has an extension of that name, and
``meta["visibilities"]`` the `~astroseg.visibilities.Visibilities` that it was made of, where it holds them.
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
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from astroseg.beam import Beam
from astroseg.blank import Blank, either, survey_blank
from astroseg.digest import file_digest
from astroseg.errors import AstrosegError, AstrosegWarning, ImageError, UsageError
from astroseg.file_pixels import FilePixels, trouble
from astroseg.header import find_beam, find_unit, find_wcs, parse_unit, pixel_scale, sky_kind
from astroseg.mosaic import Mosaic, as_mosaic
from astroseg.planes import cut_image, size_text
from astroseg.zarr_files import ZarrPixels, is_zarr, open_zarr

__all__ = ["checksum", "open_mosaic", "read_image", "read_map"]

_READ = "reading"  # in the meta of every image that this module made: the options that it was read with


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
        FITS files may be gzipped, tile-compressed, and have 2 to 5 axes. A Zarr array, or one in a group, has the
        cards of a FITS header as its attributes. An image that this function made is returned as it is.
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
    given = {"hdu": hdu, "plane": plane, "unit": unit, "beam": beam, "mask": mask, "keep_zeros": keep_zeros or None}
    given = {key: value for key, value in given.items() if value is not None}
    if isinstance(source, CCDData) and _READ in source.meta and not given:
        return source
    if isinstance(source, Mosaic):
        source = source.as_image()
    image = _with_options(source, given, lazy=False)
    image.mask = _survey(image, given).mask(image.data.__getitem__, as_mosaic(image).whole)
    _check_beam(image)
    return image


def open_mosaic(source: Any, **reading: Any) -> Mosaic:
    """Open an image that need not fit in memory: of a FITS file, only what is looked at is read.

    Parameters
    ----------
    source : anything that `read_image` takes
    **reading
        As those of `read_image`. A mask is held in memory, one byte a pixel.

    Raises
    ------
    ImageError
        When there is no usable image.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.image import open_mosaic
    >>> mosaic = open_mosaic(np.ones((32, 48)))
    >>> mosaic.cut((slice(0, 8), slice(40, 48))).shape
    (8, 8)
    """
    if isinstance(source, Mosaic) and not reading:
        return source
    if isinstance(source, CCDData) and _READ in source.meta and not reading:
        return as_mosaic(source)
    given = {key: value for key, value in reading.items() if value not in (None, False)}
    image = _with_options(source, given, lazy=True)
    _check_beam(image)
    return Mosaic(image, _survey(image, given))


def _survey(image: CCDData, given: dict[str, Any]) -> Blank:
    """What decides which pixels are blank, beside the mask that the image has already."""
    pixels, name = image.data.__getitem__, image.meta["name"]
    zeros = bool(given.get("keep_zeros"))
    return survey_blank(pixels, image.data.shape, image.data.dtype, name, given=image.mask, keep_zeros=zeros)


def _with_options(source: Any, given: dict[str, Any], *, lazy: bool) -> CCDData:
    """Any kind of source as an image, with what the user said of it. Its mask is that of the source and of the user."""
    hdu, plane, unit = (given.get(key) for key in ("hdu", "plane", "unit"))
    if isinstance(source, CCDData) and _READ in source.meta:
        image = _read_again(source, given)
    elif isinstance(source, str | os.PathLike):
        image = _from_file(Path(source), hdu, plane, unit, lazy=lazy)
    elif isinstance(source, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
        image = _from_hdu(source, None, plane, unit, source.name.lower() or "HDU", None)
    elif hasattr(source, "data") and hasattr(source, "wcs"):
        image = _from_nddata(source, plane)
    else:
        image = _from_array(source, plane)
    if unit is not None:
        image.unit = _unit_option(unit)
    if "beam" in given:
        image.meta["beam"] = _beam_option(given["beam"])
    if "mask" in given:
        image.mask = either(image.mask, ~(read_map(given["mask"], image.shape, "mask") == 0))
    image.meta[_READ] = image.meta.get(_READ, {}) | {key: _text(value) for key, value in given.items()}
    return image


def _read_again(source: CCDData, given: dict[str, Any]) -> CCDData:
    """An image that was read before: as it is, or a copy for another unit, beam or mask."""
    late = [key for key in given if key in ("hdu", "plane", "keep_zeros")]
    if late:
        msg = f"{source.meta['name']} was read already; give {', '.join(late)} where it is read first."
        raise UsageError(msg)
    image = source.copy()
    image.meta.pop("background", None)  # measured in the old unit, on pixels that may be blank now
    return image


def _beam_option(beam: Any) -> Beam:
    if isinstance(beam, Beam):
        return beam
    if isinstance(beam, str):
        return Beam.parse(beam)
    msg = f"A beam is a Beam or a text MAJ,MIN,PA, for example '6,5,30', not {beam!r}."
    raise UsageError(msg)


def _text(value: Any) -> Any:
    """What the provenance can hold, and this module read again; "array" for what has no name."""
    if isinstance(value, Beam):
        return f"{value.major},{value.minor},{value.pa}"
    return value if isinstance(value, str | int | bool) else str(value) if not hasattr(value, "shape") else "array"


def read_map(source: Any, shape: tuple[int, int], what: str, unit: u.UnitBase | None = None) -> np.ndarray:
    """Read a mask, background or noise map that belongs to an image of ``shape`` and is wanted in its ``unit``."""
    if isinstance(source, str | os.PathLike):
        read = _from_file(Path(source), None, None, "")
        data, found = np.asarray(read.data), find_unit(read.meta["header"], read.meta["name"]) if unit else None
    else:
        found = getattr(source, "unit", None)
        data = np.asarray(
            getattr(source, "value", source) if isinstance(source, np.ndarray) else getattr(source, "data", source)
        )
        data = cut_image(data.shape, data.ndim * [""], None, None, what).of(data)
    if data.shape != tuple(shape):
        sizes = size_text(data.shape), size_text(shape)
        msg = f"The {what} has {sizes[0]} pixels, the image {sizes[1]}; they must be on the same grid."
        raise ImageError(msg)
    if unit is None or found in (None, u.dimensionless_unscaled, unit):
        return data
    if not found.is_equivalent(unit):
        msg = f"The {what} is in {found}, the image in {unit}; there is no way from one to the other."
        raise ImageError(msg)
    return data * found.to(unit)


def checksum(image: CCDData | Mosaic) -> str:
    """Return the SHA-256 of the image's file, or of its pixels where it has none; that of a mosaic may be known."""
    if "sha256" in image.meta:
        return image.meta["sha256"]
    if image.meta.get("path"):
        return file_digest(image.meta["path"])
    little = image.data.dtype.newbyteorder("<")  # the same pixels in another byte order are the same image
    return hashlib.sha256(np.ascontiguousarray(image.data, dtype=little).tobytes()).hexdigest()


def _from_file(path: Path, hdu, plane, unit, *, lazy: bool = False) -> CCDData:
    if not path.exists():
        msg = f"There is no file {path}."
        raise ImageError(msg)
    if is_zarr(path):
        return _from_zarr(path, hdu, plane, unit, lazy=lazy)
    if path.is_dir():
        msg = f"{path} is a folder; give the FITS files in it."
        raise ImageError(msg)
    try:
        with warnings.catch_warnings():
            # Astropy remarks on every non-standard card.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            with fits.open(path) as hdul:
                # A name that is not UTF-8 would end in an error wherever it is written.
                name = os.fsencode(path.name).decode(errors="replace")
                chosen = _choose_hdu(hdul, hdu, name)
                chosen.verify("silentfix+ignore")  # a text without quotes, for one
                image = _from_hdu(chosen, hdul, plane, unit, name, path, lazy=lazy)
                _add_companions(image, chosen, hdul)
                return image
    except (AstrosegError, AstrosegWarning):
        raise
    except PermissionError as error:
        msg = f"No permission to read {path}."
        raise ImageError(msg) from error
    except Exception as error:
        msg = f"Cannot read {path}: {trouble(error)}."
        raise ImageError(msg) from error


def _add_companions(image: CCDData, chosen, hdul) -> None:
    """What belongs to the image and lies in the same file: a point spread function, visibilities."""
    for hdu in hdul:
        if hdu is not chosen and _is_psf(hdu):
            image.psf = np.array(hdu.data)
        columns = {column.name.lower() for column in getattr(hdu, "columns", ())}
        if {"u", "v"} <= columns and columns & {"re", "obsvis"}:
            from astroseg.visibility_files import visibilities_in

            try:
                image.meta["visibilities"] = visibilities_in(hdul, image.meta["name"])
            except ImageError as error:  # the image is one all the same
                warnings.warn(str(error), AstrosegWarning, stacklevel=5)


def _is_psf(hdu) -> bool:
    return hdu.name == "PSF" and hdu.is_image and len(hdu.shape) == 2


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
        msg = f"{name} holds no image, only {', '.join(type(item).__name__.lstrip('_') for item in hdul)}."
        raise ImageError(msg)
    planar = [pair for pair in images if len(pair[1].shape) > 1] or images
    planar = [pair for pair in planar if not _is_psf(pair[1])] or planar
    if len(planar) > 1:
        warnings.warn(
            f"{name} holds {len(planar)} images; reading HDU {planar[0][0]}. Choose another with --hdu.",
            AstrosegWarning,
            stacklevel=5,
        )
    return planar[0][1]


def _from_hdu(hdu, hdul, plane, unit, name, path, *, lazy: bool = False) -> CCDData:
    if not hdu.is_image:
        msg = f"HDU {hdu.name} of {name} is a table, not an image."
        raise ImageError(msg)
    header = hdu.header
    wcs = find_wcs(header, name, hdul)
    kinds = [str(header.get(f"CTYPE{axis + 1}", "")).strip() for axis in range(len(hdu.shape))]
    cut = cut_image(hdu.shape, kinds, wcs, plane, name)
    data = FilePixels(path, hdul.index_of(hdu), cut, _cut_shape(hdu, cut)) if lazy else cut.of(hdu.data)
    beam = find_beam(header, hdul, cut.channel, name)
    # A unit that the user gives is set later, and may replace one that cannot be read.
    found = _unit_in(header, cut.wcs, beam, name) if unit is None else None
    return _make(data, found, cut.wcs, beam, header, name, path)


def _from_zarr(path: Path, key, plane, unit, *, lazy: bool) -> CCDData:
    try:
        array, key, header = open_zarr(path, key)
    except AstrosegError:
        raise
    except Exception as error:
        msg = f"Cannot read {path}: {trouble(error)}."
        raise ImageError(msg) from error
    name = os.fsencode(path.name).decode(errors="replace")
    wcs = find_wcs(header, name)
    kinds = [str(header.get(f"CTYPE{axis + 1}", "")).strip() for axis in range(array.ndim)]
    cut = cut_image(array.shape, kinds, wcs, plane, name)
    pixels = ZarrPixels(path, key, cut, _cut_shape(array, cut))
    beam = find_beam(header, None, cut.channel, name)
    found = _unit_in(header, cut.wcs, beam, name) if unit is None else None
    return _make(pixels if lazy else np.asarray(pixels), found, cut.wcs, beam, header, name, path)


def _cut_shape(hdu, cut) -> tuple[int, int]:
    return cut.of(np.broadcast_to(np.uint8(0), hdu.shape)).shape


def _unit_in(header, wcs, beam, name) -> u.UnitBase | None:
    found = find_unit(header, name)
    if found is None and beam is not None and sky_kind(wcs) == "equatorial":
        warnings.warn(
            f"{name} has no unit; as it has a beam, Jy/beam is assumed. Overrule it with --unit.",
            AstrosegWarning,
            stacklevel=5,
        )
        return u.Jy / u.beam
    return found


def _from_nddata(source, plane) -> CCDData:
    meta = dict(getattr(source, "meta", None) or {})
    name = str(meta.get("name") or "image")
    data = np.asarray(source.data)
    wcs = _fits_wcs(source.wcs, name)
    kinds = [*(wcs.wcs.ctype if wcs is not None else ()), *data.ndim * [""]]
    cut = cut_image(data.shape, kinds, wcs, plane, name)
    header = fits.Header()
    for key, value in meta.items():
        if isinstance(value, str | int | float) and len(key) <= 8 and "\n" not in str(value):
            header[key] = value
    beam = meta.get("beam") if isinstance(meta.get("beam"), Beam) else find_beam(header, None, 0, name)
    unit = getattr(source, "unit", None)
    image = _make(cut.of(data), find_unit(header, name) if unit is None else unit, cut.wcs, beam, header, name, None)
    mask = getattr(source, "mask", None)
    image.mask = None if mask is None else cut.of(np.broadcast_to(mask, data.shape)).astype(bool)
    psf = getattr(source, "psf", None)
    if psf is not None:
        image.psf = np.asarray(psf)
    if "visibilities" in meta:
        image.meta["visibilities"] = meta["visibilities"]
    return image


def _fits_wcs(wcs, name) -> WCS | None:
    wcs = getattr(wcs, "low_level_wcs", wcs)
    if wcs is None or isinstance(wcs, WCS):
        return wcs
    warnings.warn(
        f"The world coordinates of {name} are a {type(wcs).__name__}, not a FITS WCS; positions are in pixels.",
        AstrosegWarning,
        stacklevel=4,
    )
    return None


def _from_array(source, plane) -> CCDData:
    """An array, masked array, `~astropy.units.Quantity` or nested list."""
    data = np.asarray(source)
    cut = cut_image(data.shape, data.ndim * [""], None, plane, "array")
    image = _make(cut.of(data), getattr(source, "unit", None), None, None, fits.Header(), "array", None)
    if np.ma.isMaskedArray(source):
        image.mask = cut.of(np.ma.getmaskarray(source)).copy()
    return image


def _make(data, unit, wcs, beam, header, name, path) -> CCDData:
    if data.dtype.kind not in "iuf":
        msg = f"{name} holds {data.dtype} values; an image needs real numbers."
        raise ImageError(msg)
    meta = {"beam": beam, "header": header, "name": name, "path": None if path is None else str(path.resolve())}
    return CCDData(data, unit=unit or u.dimensionless_unscaled, wcs=wcs, meta=meta)


def _unit_option(unit):
    if isinstance(unit, u.UnitBase):
        return unit
    try:
        return parse_unit(str(unit))
    except (ValueError, TypeError) as error:
        msg = f"Cannot read the unit '{unit}'. Examples: Jy/beam, mJy/beam, MJy/sr, DN, ct/s."
        raise UsageError(msg) from error


def _check_beam(image: CCDData) -> None:
    """Say so where the beam cannot be that of this image: its fluxes are then wrong by any factor."""
    beam, scale = image.meta["beam"], pixel_scale(image.wcs)
    widths = beam.fwhm_pixels(scale) if beam is not None else None
    trouble = ""
    if widths is not None and widths[1] < 1:
        trouble = "narrower than a pixel"
    elif widths is not None and widths[0] > max(image.shape):
        trouble = "wider than the image"
    if trouble:
        warnings.warn(
            f"The beam of {image.meta['name']} ({beam}) is {trouble}; check it, or give another with --beam.",
            AstrosegWarning,
            stacklevel=3,
        )
