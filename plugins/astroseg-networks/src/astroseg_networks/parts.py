"""The pieces of a source: the lobes of a double are one source, and are still to be told apart."""

from __future__ import annotations

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from skimage.measure import label as label_pieces

from astroseg.sky import to_sky

__all__ = ["list_parts"]


def list_parts(catalog: QTable, labels: np.ndarray, significance: np.ndarray, image: CCDData) -> None:
    """Add the columns ``unet_n_parts`` and ``unet_parts``.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Changed in place.
    labels : 2-D `~numpy.ndarray` of int32
    significance : 2-D `~numpy.ndarray`
        The image in units of its noise; it weighs the positions.
    image : `~astropy.nddata.CCDData`
    """
    inside = np.flatnonzero(labels)
    piece = label_pieces(labels, connectivity=2).ravel()[inside]
    number, first, piece = np.unique(piece, return_index=True, return_inverse=True)
    owner = labels.ravel()[inside[first]]
    count = np.bincount(owner, minlength=len(catalog) + 1)[1:]
    weight = np.fmax(significance.ravel()[inside], 1e-3)
    row, column = np.unravel_index(inside, labels.shape)
    total = np.bincount(piece, weight, minlength=number.size)
    x, y = (np.bincount(piece, weight * at, minlength=number.size) / total for at in (column, row))
    catalog["unet_n_parts"] = count.astype(np.int32)
    catalog["unet_n_parts"].info.description = "Number of separate pieces of the label, such as the lobes of a double"
    catalog["unet_parts"] = _places(owner, x, y, image, len(catalog))
    catalog["unet_parts"].info.description = "Longitude and latitude (without a sky: x and y) of each of them"


def _places(owner, x, y, image, number) -> np.ndarray:
    """Places of the pieces of each source, as text."""
    longitude, latitude = to_sky(image.wcs, x, y)
    on_sky = np.isfinite(longitude)
    places: list[list[str]] = [[] for _ in range(number)]
    for index, *place in zip(owner - 1, np.where(on_sky, longitude, x), np.where(on_sky, latitude, y), strict=True):
        places[index].append("{:.6f} {:.6f}".format(*place))
    return np.array(["; ".join(several) for several in places], dtype=str)
