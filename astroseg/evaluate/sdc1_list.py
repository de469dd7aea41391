"""From a catalogue to a list that SDC1 scores."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import Table
from scipy.ndimage import map_coordinates

from astroseg.evaluate.sdc1 import SDC1_COLUMNS
from astroseg.evaluate.tables import column, length

__all__ = ["sdc1_list"]

_CORE_FRACTION = 0.0375
_LEAST_SIZE = 0.3  # arcsec: what is unresolved is not of size 0
_GAUSSIAN, _GALAXY = 2, 3


def sdc1_list(catalog: Any, primary_beam: CCDData | None = None) -> Table:
    """Turn a catalogue into a list with the twelve columns of SDC1.

    The choices matter (other plausible ones change a score by half), so they are fixed: ``id`` is
    the row number, core and centroid are the position, sizes are those of the Gaussian with the
    beam taken off and at least 0.3 arcsec, the core fraction is 0.0375 and every source a galaxy.

    Parameters
    ----------
    catalog : table
        Columns as in `astroseg.catalog.COLUMNS`: ``ra``, ``dec``, ``flux``, ``deconvolved_major``,
        ``deconvolved_minor``, ``deconvolved_pa``. Without units: degrees, Jy, arcsec.
    primary_beam : `~astropy.nddata.CCDData`, optional
        Sensitivity over the sky, from `~astroseg.read_image`. Fluxes are divided by it, as the
        truth is not attenuated; a source outside it has no flux, and drops out of the score.
    """
    ra, dec = column(catalog, "ra", u.deg), column(catalog, "dec", u.deg)
    ra = np.where(ra > 180, ra - 360, ra)
    flux = column(catalog, "flux", u.Jy)
    if primary_beam is not None:
        flux = flux / _sensitivity(primary_beam, ra, dec)
    # fmax and not maximum: a size that could not be measured is the least one.
    sizes = [np.fmax(column(catalog, f"deconvolved_{axis}", u.arcsec), _LEAST_SIZE) for axis in ("major", "minor")]
    pa = (90 - np.nan_to_num(column(catalog, "deconvolved_pa", u.deg))) % 180
    count = length(catalog)
    constants = [np.full(count, value) for value in (_CORE_FRACTION, _GAUSSIAN, _GALAXY)]
    values = [np.arange(count), ra, dec, ra, dec, flux, constants[0], *sizes, pa, *constants[1:]]
    return Table(values, names=SDC1_COLUMNS)


def _sensitivity(primary_beam, ra, dec):
    """The primary beam at positions, bilinear; NaN outside."""
    x, y = primary_beam.wcs.all_world2pix(ra, dec, 0)
    return map_coordinates(np.asarray(primary_beam.data, dtype=float), [y, x], order=1, cval=np.nan)
