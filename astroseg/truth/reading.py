"""Truth files -> one catalogue and one label image, whatever wrote them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable, Table

from astroseg.catalog import COLUMNS, complete, read_catalog
from astroseg.catalog import FORMATS as ENDINGS
from astroseg.errors import UsageError
from astroseg.evaluate.tables import as_table
from astroseg.image import read_image
from astroseg.output import map_beside
from astroseg.truth.dialects import DIALECTS, Rows, translate, with_columns
from astroseg.truth.drawn import Drawn, read_drawn, read_labels
from astroseg.truth.files import read_table
from astroseg.truth.formats import check_format, recognise, table_format
from astroseg.truth.model import describe_sources, model_image, noise_of, truth_labels
from astroseg.truth.places import attenuate, on_image, place
from astroseg.truth.rows import check_rows, in_units_of, numbered, stand_in

__all__ = ["Truth", "read_truth"]

ISOPHOTE = 2.0  # in units of the noise, where the caller says nothing
UNDRAWN = 0.05  # share of the isophote below which a source need not be drawn


@dataclass(frozen=True)
class Truth:
    """What is in an image.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        One row per source, with every column of `astroseg.catalog.COLUMNS`; what its file has besides follows, named
        after the format (``sdc1_class``). ``flux`` is that which the image shows: with a primary beam, less than the
        intrinsic one.
    labels : 2-D `~numpy.ndarray` of int32, shape (ny, nx), or None
        Truth labels, by the catalogue's ``label``; `None` where there is neither an image nor a drawing. A source
        too faint for the isophote has a row but no pixel.
    """

    catalog: QTable
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.catalog)


def read_truth(
    source: Any,
    *,
    format: str | None = None,  # noqa: A002 - as the readers of astropy have it
    columns: dict[str, str] | None = None,
    image: Any = None,
    primary_beam: Any = None,
    isophote: float | None = None,
    rms: Any = None,
    labels: Any = None,
    kind: str | None = None,
    hdu: int | str | None = None,
) -> Truth:
    """Read a list of sources, polygons or a label image that says what is in an image.

    Parameters
    ----------
    source : path or table
        A file, text may be gzipped; or a table of astropy or pandas, a dict of columns, a structured array.
    format : str, optional
        One of `astroseg.truth.FORMATS`. By default it is told from the content.
    columns : dict of str to str, optional
        Which column of a table holds what, ``{"ra": "RAJ2000", "flux": "S1400[mJy]"}``: a unit in brackets is for
        tables that have none. ``glon`` and ``glat`` are converted to ``ra`` and ``dec``; sexagesimal columns are read.
    image : anything that `~astroseg.read_image` takes, optional
        The image that the truth is of. Its world coordinates place the sources, sources outside of it are left
        out, and labels are drawn on its grid.
    primary_beam : anything that `~astroseg.read_image` takes, optional
        Map by which the fluxes of the list are to be multiplied.
    isophote : float, optional
        Level in units of the noise that bounds the labels of catalogues, 2 by default. For a catalogue of astroseg the
        default is the label image beside it, where there is one.
    rms : float, path or 2-D array, optional
        Noise, in the unit of the image. By default it is measured, see `~astroseg.standardize`.
    labels : path or 2-D array, optional
        Label image that belongs to the catalogue, by its ``label``.
    kind : str, optional
        Take only outlines of this kind: HEK event type (``CH``, ``AR``), labelme label, text of a DS9 region.
    hdu : int or str, optional
        Extension of a FITS file.

    Returns
    -------
    Truth

    Raises
    ------
    AstrosegError
        When the file cannot be used; the message says why. Rows that cannot be used are left out with an
        `~astroseg.AstrosegWarning`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astroseg.truth import read_truth
    >>> path = Path(tempfile.mkdtemp()) / "list.csv"
    >>> _ = path.write_text("RAJ2000,DEJ2000,S" + chr(10) + "150.1,-30.0,12.5" + chr(10))
    >>> read_truth(path, columns={"ra": "RAJ2000", "dec": "DEJ2000", "flux": "S[mJy]"}).catalog["flux"]
    <Quantity [0.0125] Jy>
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    table = None if path is not None else as_table(source)
    name = "the table" if path is None else path.name
    form = _format(path, table) if format is None else check_format(format)
    image = None if image is None else read_image(image)
    if form in ("labels", "mask", "hek", "labelme", "ds9"):
        if path is None:
            msg = f"A table is no truth of the format '{form}'."
            raise UsageError(msg)
        return _of_drawing(read_drawn(path, form, image, kind, hdu), image, {"truth": name, "truth_format": form})
    if table is None:
        table = _read(path, form, hdu)
    dialect = DIALECTS[form] if columns is None else with_columns(DIALECTS[form], columns, table, name)
    rows = translate(table, dialect, name)
    target = stand_in(rows) if image is None else image
    rows = numbered(check_rows(in_units_of(rows, target, name), name), name)
    if primary_beam is not None:
        rows = attenuate(rows, primary_beam, name)
    given = _labels_of(path, form, labels, isophote)
    meta = {**table.meta, "truth": name, "truth_format": form}
    if image is None:
        return Truth(_catalog(rows, target, meta), given)
    place(rows, image, name)
    inside = on_image(rows, image, name)
    catalog = _catalog(rows, image, meta)
    describe_sources(catalog, image)
    if given is not None:
        return _with_labels(catalog, inside, given, image)
    return _with_model(catalog, inside, image, ISOPHOTE if isophote is None else isophote, rms)


def _format(path, table) -> str:
    return table_format(table) if path is None else recognise(path)


def _read(path, form, hdu) -> Table:
    """A table; of our own catalogues with their provenance."""
    if form == "astroseg" and path.name.endswith(tuple(ENDINGS.values())):
        return read_catalog(path)
    table = read_table(path, hdu)
    table.meta = {}
    return table


def _labels_of(path, form, labels, isophote) -> np.ndarray | None:
    """The label image that was given, or that lies beside a catalogue of ours."""
    if labels is not None:
        return read_labels(labels)[0]
    if path is None or form != "astroseg" or isophote is not None:
        return None
    beside = map_beside(path, "labels")
    return None if beside is None else read_labels(beside)[0]


def _catalog(rows: Rows, image: CCDData, meta: dict[str, Any]) -> QTable:
    """The rows with every column."""
    integers = {column.name for column in COLUMNS if column.dtype.startswith("i")}
    values = {key: np.nan_to_num(item) if key in integers else item for key, item in rows.items() if key != "identity"}
    catalog = complete(values, image)
    catalog.meta = meta
    return catalog


def _of_drawing(drawn: Drawn, image: CCDData | None, meta: dict[str, Any]) -> Truth:
    rows: Rows = {**drawn.rows}
    target = stand_in(rows) if drawn.image is None else drawn.image
    if drawn.image is not None:
        place(rows, drawn.image, meta["truth"])
    catalog = complete(rows, target)
    catalog.meta = meta
    if image is None or drawn.labels is None:
        return Truth(catalog, drawn.labels)
    return _with_labels(catalog, on_image(rows, image, meta["truth"]), drawn.labels, image)


def _with_labels(catalog: QTable, inside: np.ndarray, labels: np.ndarray, image: CCDData) -> Truth:
    """A catalogue and its label image: rows outside of the image that have no pixel are left out."""
    if labels.shape != image.shape:
        sizes = [" x ".join(map(str, reversed(shape))) for shape in (labels.shape, image.shape)]
        msg = f"The truth labels have {sizes[0]} pixels, {image.meta['name']} has {sizes[1]}."
        raise UsageError(msg)
    if image.mask is not None:
        labels = np.where(image.mask, 0, labels)
    pixels = dict(zip(*np.unique(labels[labels > 0], return_counts=True), strict=True))
    counts = np.array([pixels.get(label, 0) for label in catalog["label"]], dtype=np.int32)
    catalog["n_pixels"][:] = counts
    keep = (counts > 0) | (inside & _seen(catalog, image.mask))
    catalog.meta["left_out"] = int(np.count_nonzero(~keep))
    return Truth(catalog[keep], np.where(np.isin(labels, catalog["label"]), labels, 0).astype(np.int32))


def _with_model(catalog: QTable, inside: np.ndarray, image: CCDData, isophote: float, rms: Any) -> Truth:
    """A catalogue, and labels along the isophote of its model."""
    noise, known = noise_of(image, rms)
    _fill_noise(catalog, noise, known)
    catalog.meta |= {"isophote": float(isophote), "median_rms": float(np.median(noise[known])) if known.any() else 0.0}
    level = np.where(known, isophote * noise, np.nan)
    if len(catalog) > 0 and not np.isfinite(catalog["flux"].value).any():
        return Truth(catalog[inside & _seen(catalog, ~known)])
    faintest = UNDRAWN * float(np.nanmin(level)) if known.any() else 0.0
    owner = truth_labels(*model_image(catalog, image, faintest=faintest), level)
    labels = np.concatenate([[0], catalog["label"]]).astype(np.int32)[owner]
    return _with_labels(catalog, inside, labels, image)


def _seen(catalog, blank) -> np.ndarray:
    """Which rows have their centre on a pixel that is not blank."""
    if blank is None:
        return np.ones(len(catalog), dtype=bool)
    return ~_at_centres(catalog, blank, fill=True)


def _at_centres(catalog, values, fill) -> np.ndarray:
    """Values of an image at the centres of the sources; ``fill`` for those outside."""
    found = np.full(len(catalog), fill, dtype=values.dtype)
    with np.errstate(invalid="ignore"):
        x, y = (np.nan_to_num(np.rint(catalog[key].value), nan=-1) for key in ("x_centroid", "y_centroid"))
    inside = (x >= 0) & (y >= 0) & (x < values.shape[1]) & (y < values.shape[0])
    found[inside] = values[y[inside].astype(np.intp), x[inside].astype(np.intp)]
    return found


def _fill_noise(catalog, noise, known) -> None:
    """Noise at each source, and its signal to noise: the peak of its model over that, where the file does not say."""
    at_centre = _at_centres(catalog, np.where(known, noise, np.nan).astype(float), np.nan)
    rms, snr = catalog["local_rms"].value, catalog["snr"]
    rms[:] = np.where(np.isnan(rms), at_centre, rms)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr[:] = np.where(np.isnan(snr), catalog["peak_flux"].value / rms, snr)
