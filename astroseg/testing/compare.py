"""What the checks compare: answers of one finder to images that hold the same sky."""

from __future__ import annotations

import pickle
import unittest
import warnings
from collections.abc import Iterable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.errors import AstrosegWarning
from astroseg.finder import Detections, SourceFinder
from astroseg.restorer import Restorer

__all__ = [
    "STEADY",
    "Backend",
    "assert_found_again",
    "assert_same",
    "assert_same_catalog",
    "assert_same_labels",
    "need_repeatable",
    "pickled",
    "pixels",
    "quietly",
    "sky_pixels",
]

Backend = SourceFinder | Restorer

#: Columns that hardly move when the last bits of the pixels do.
STEADY = ("label", "x_centroid", "y_centroid", "peak_flux", "flux", "snr", "n_pixels", "local_rms")


def quietly(backend: Backend, image: Any, **options: Any) -> Any:
    """Run ``find`` or ``restore`` without warnings: an empty answer is what several checks ask for."""
    run, kind = (backend.find, Detections) if isinstance(backend, SourceFinder) else (backend.restore, CCDData)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)
        answer = run(image, **options)
    assert isinstance(answer, kind), f"{run.__name__}() returned a {type(answer).__name__}, not {kind.__name__}"
    return answer


def need_repeatable(backend: Backend) -> None:
    """End a check that compares two runs where the backend declares that they may differ."""
    if not backend.repeatable:
        msg = f"{backend.name} declares repeatable = False, so that two of its runs cannot be compared"
        raise unittest.SkipTest(msg)


def pickled(backend: Backend) -> Any:
    """Pickle and unpickle a backend; the copy must have its options."""
    try:
        copy = pickle.loads(pickle.dumps(backend))  # noqa: S301 - our own bytes
    except Exception as error:
        msg = f"after a run it cannot be pickled: {error!r}"
        raise AssertionError(msg) from error
    assert repr(copy) == repr(backend), f"the pickled copy is {copy!r}, not {backend!r}"
    return copy


def assert_same(first: Detections, second: Detections, what: str) -> None:
    """Both answers agree bit for bit: labels, every column, probability."""
    assert_same_labels(first, second, what)
    assert_same_catalog(first.catalog, second.catalog, what)
    assert (first.probability is None) == (second.probability is None), f"{what}: only one answer has a probability map"
    if first.probability is not None:
        differ = np.count_nonzero(first.probability != second.probability)
        assert not differ, f"{what}: {differ} pixels of the probability map differ"


def assert_same_labels(first: Detections, second: Detections, what: str) -> None:
    """Both label images agree."""
    differ = np.count_nonzero(np.asarray(first.labels) != np.asarray(second.labels))
    assert not differ, f"{what}: {differ} pixels of the label image differ ({len(first)} against {len(second)} sources)"


def assert_same_catalog(
    first: QTable, second: QTable, what: str, columns: Iterable[str] | None = None, rtol: float = 0
) -> None:
    """Both catalogues agree in the given columns (all by default), after conversion to the first one's units."""
    if columns is None:
        assert first.colnames == second.colnames, f"{what}: the columns differ, {first.colnames} and {second.colnames}"
    for name in columns or first.colnames:
        one, two = first[name], second[name]
        if isinstance(one, u.Quantity) and isinstance(two, u.Quantity):
            one, two = one.value, two.to_value(one.unit)
        one, two = np.asarray(one), np.asarray(two)
        same = np.isclose(one, two, rtol=rtol, atol=0, equal_nan=True) if one.dtype.kind == "f" else one == two
        if not np.all(same):
            rows = np.flatnonzero(~same)
            row = int(rows[0])
            msg = f"{what}: column {name} differs in {rows.size} rows, first {one[row]} against {two[row]}"
            raise AssertionError(msg)


def assert_found_again(
    expected: tuple[np.ndarray, np.ndarray],
    found: tuple[np.ndarray, np.ndarray],
    what: str,
    within: float = 0.5,
) -> np.ndarray:
    """Each expected position has a detection within ``within`` pixels; return the index of the nearest ones."""
    if np.size(expected[0]) == 0:
        return np.zeros(0, dtype=int)
    assert np.size(found[0]), f"{what}: nothing is found where {np.size(expected[0])} sources are expected"
    distance = np.hypot(np.subtract.outer(expected[0], found[0]), np.subtract.outer(expected[1], found[1]))
    nearest = distance.min(axis=1)
    far = int(np.argmax(nearest))
    assert nearest[far] <= within, (
        f"{what}: the source at x = {expected[0][far]:.1f}, y = {expected[1][far]:.1f} has no detection "
        f"within {within} px, the nearest is {nearest[far]:.1f} px away"
    )
    return distance.argmin(axis=1)


def pixels(catalog: QTable) -> tuple[np.ndarray, np.ndarray]:
    """Centroids in pixels."""
    return catalog["x_centroid"].value, catalog["y_centroid"].value


def sky_pixels(catalog: QTable, image: CCDData) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of a catalogue, as pixels of ``image``."""
    if len(catalog) == 0:
        return np.zeros(0), np.zeros(0)
    x, y = image.wcs.all_world2pix(catalog["ra"].to_value("deg"), catalog["dec"].to_value("deg"), 0)
    return x, y
