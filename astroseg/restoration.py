"""Dirty and restored images as files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from astroseg import __version__
from astroseg.image import checksum
from astroseg.output import refuse_existing, write_all

__all__ = ["add_beam", "dirty_hdus", "fidelity_text", "restored_paths", "write_dirty", "write_restored"]


def dirty_hdus(image: CCDData, header: fits.Header) -> fits.HDUList:
    """An image as HDUs, with all that a restorer needs: extensions ``PSF`` and ``VISIBILITIES``, where it has them.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    header : `~astropy.io.fits.Header`
        Of the image.
    """
    hdus = fits.HDUList([fits.PrimaryHDU(image.data, header)])
    if image.psf is not None:
        hdus.append(fits.ImageHDU(image.psf, name="PSF"))
    if "visibilities" in image.meta:
        hdus.append(fits.table_to_hdu(image.meta["visibilities"].table(), name="VISIBILITIES"))
    return hdus


def write_dirty(image: CCDData, path: Path, *, overwrite: bool = False) -> None:
    """Write a dirty map with its dirty beam and its visibilities.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        As `astroseg.visibilities.dirty_map` makes it.
    path : `~pathlib.Path`
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    AstrosegError
        The file exists, or cannot be written.
    """
    if not overwrite:
        refuse_existing({"image": path})
    header = _header(image, image.unit)
    header.add_history(f"astroseg {__version__}: dirty map of {image.meta['name']}, natural weights")
    write_all({path: partial(dirty_hdus(image, header).writeto, overwrite=True)})


def restored_paths(path: Path, *, preview: bool = False) -> dict[str, Path]:
    """What `write_restored` writes: the image, and beside it model, residual and picture.

    Parameters
    ----------
    path : `~pathlib.Path`
        Of the restored image.
    preview : bool
    """
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    ends = {"model": ".model.fits", "residual": ".residual.fits"} | ({"preview": ".png"} if preview else {})
    return {"restored": path} | {key: path.with_name(stem + end) for key, end in ends.items()}


def write_restored(
    image: CCDData, restored: CCDData, path: Path, *, preview: bool = False, overwrite: bool = False
) -> list[Path]:
    """Write a restored image, and where the restorer gives them, its model and the residual.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The dirty image.
    restored : `~astropy.nddata.CCDData`
        As restorers return it, ``meta["restorer"]`` being the name and the options.
    path : `~pathlib.Path`
        ``STEM.fits``; the others are ``STEM.model.fits`` and ``STEM.residual.fits``.
    preview : bool
        Also write ``STEM.png``.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    list of `~pathlib.Path`

    Raises
    ------
    AstrosegError
        Files exist, or cannot be written. Nothing is left half-written.
    """
    paths = restored_paths(path, preview=preview)
    if not overwrite:
        refuse_existing(paths)
    model_unit = image.unit * u.beam / u.pix if image.unit.is_equivalent(u.Jy / u.beam) else image.unit
    history = _history(image, restored)

    def hdu(data: np.ndarray, unit: u.UnitBase) -> Callable[[Path], object]:
        header = _header(restored, unit)
        for line in history:
            header.add_history(line)
        for key, value in restored.meta.get("fidelity", {}).items():
            header[_FIDELITY[key][0]] = (float(f"{value:.6g}"), _FIDELITY[key][1])
        return partial(fits.PrimaryHDU(data, header).writeto, overwrite=True)

    jobs: dict[str, Callable[[Path], object]] = {"restored": hdu(restored.data, restored.unit)}
    if "model" in restored.meta:
        jobs["model"] = hdu(restored.meta["model"], model_unit)
    if "residual" in restored.meta:
        jobs["residual"] = hdu(restored.meta["residual"], restored.unit)
    if preview:
        jobs["preview"] = partial(_picture, image, restored)
    write_all({paths[key]: job for key, job in jobs.items()})
    return [paths[key] for key in jobs]


_FIDELITY = {
    "chi2": ("CHI2", "reduced chi2 of the visibilities, of the model"),
    "residual_rms": ("RESRMS", "rms of the residual image"),
}


def fidelity_text(fidelity: dict[str, float], unit: u.UnitBase) -> str:
    """How well a model explains the measurement, in words.

    Parameters
    ----------
    fidelity : dict
        See `astroseg.dirty.DirtyImage.fidelity`.
    unit : `~astropy.units.UnitBase`
        Of the image.
    """
    texts = [f"reduced chi2 {fidelity['chi2']:.4g}"] if "chi2" in fidelity else []
    return ", ".join([*texts, f"residual rms {fidelity['residual_rms']:.4g} {unit.to_string()}".rstrip()])


def add_beam(header: fits.Header, image: CCDData) -> None:
    """Write the beam of an image into a header, in degrees, where it is an angle.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
    image : `~astropy.nddata.CCDData`
    """
    beam = image.meta.get("beam")
    if beam is not None and beam.major.unit != u.pix:
        for key, value in (("BMAJ", beam.major), ("BMIN", beam.minor), ("BPA", beam.pa)):
            header[key] = value.to_value("deg")


def _header(image, unit) -> fits.Header:
    header = fits.Header() if image.wcs is None else image.wcs.to_header(relax=True)
    header["BUNIT"] = unit.to_string()
    add_beam(header, image)
    header["ORIGIN"] = "astroseg"
    return header


def _history(image, restored) -> list[str]:
    """Restorer, options, versions, image."""
    options = dict(restored.meta.get("restorer", {}))
    name = options.pop("name", "a restorer that does not tell its name")
    return [
        f"astroseg {__version__}: restored with {name}, {dt.datetime.now(dt.UTC).isoformat(timespec='seconds')}",
        *(f"{key} = {value}" for key, value in options.items()),
        f"image = {image.meta['name']}",
        f"image_sha256 = {checksum(image)}",
    ]


def _picture(image, restored, path) -> None:
    from astroseg.plot import save_restored

    save_restored(image, restored, path)
