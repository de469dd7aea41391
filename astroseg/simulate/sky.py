"""What every simulator returns, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.catalog import write_catalog
from astroseg.errors import UsageError
from astroseg.output import write_all
from astroseg.restoration import add_beam, dirty_hdus

__all__ = ["Sky", "check_size"]

SMALLEST = 16  # pixels


def check_size(*lengths: int) -> None:
    """Refuse an image that is too small to hold anything.

    Parameters
    ----------
    *lengths : int, pixels

    Raises
    ------
    UsageError
    """
    if min(lengths) < SMALLEST:
        msg = f"The size is {min(lengths)}; it must be at least {SMALLEST} pixels."
        raise UsageError(msg)


@dataclass(frozen=True)
class Sky:
    """A simulated sky.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        As `~astroseg.read_image` returns it.
    model : 2-D `~numpy.ndarray` of float32
        The image without noise.
    truth : `~astropy.table.QTable`
        One row per source, with columns of `astroseg.catalog.COLUMNS`.
    labels : 2-D `~numpy.ndarray` of int32
        Truth labels: pixels of the model above ``isophote`` times the noise, each given to the source that
        is brightest there. A source too faint for the isophote has a row but no pixel. Features of the Sun have sharp
        borders of their own.
    """

    image: CCDData
    model: np.ndarray
    truth: QTable
    labels: np.ndarray

    def write(self, stem: str | Path) -> list[Path]:
        """Write ``STEM.fits``, ``.model.fits``, ``.truth.ecsv`` and ``.truth.labels.fits``."""
        stem, header = Path(stem), self.header()
        packed = {"compression_type": "GZIP_2", "quantize_level": 0}
        jobs = {
            ".fits": dirty_hdus(self.image, header).writeto,
            ".model.fits": fits.CompImageHDU(self.model, header, **packed).writeto,
            ".truth.ecsv": partial(write_catalog, self.truth),
            ".truth.labels.fits": fits.CompImageHDU(self.labels, self.image.wcs.to_header(), "RICE_1").writeto,
        }
        files = {stem.with_name(stem.name + end): write for end, write in jobs.items()}
        write_all(files)
        return list(files)

    def header(self) -> fits.Header:
        """The header of the image: world coordinates, unit, beam, and how it was made."""
        return sky_header(self.image, self.truth.meta)


def sky_header(image: CCDData, made: dict[str, Any]) -> fits.Header:
    """The header of a simulated image.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        With its world coordinates, unit and beam.
    made : dict
        How it was made, for the history.
    """
    header = image.wcs.to_header()
    header["BUNIT"] = image.unit.to_string()
    add_beam(header, image)
    if image.unit.is_equivalent("Jy/beam"):
        header["RESTFRQ"] = (1.4e9, "[Hz] PyBDSF asks for it")
    header["ORIGIN"] = "astroseg simulation"
    for key, value in made.items():
        header.add_history(f"{key} = {value}")
    return header
