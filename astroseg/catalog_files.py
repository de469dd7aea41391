"""Catalogues as files: ECSV, VOTable, FITS, Parquet and CSV, with units, descriptions, UCDs and provenance."""

from __future__ import annotations

import gc
import importlib.util
import io
import itertools
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Table

from astroseg.errors import AstrosegError, UsageError
from astroseg.tiling import run_tiles

__all__ = ["FORMATS", "check_format", "from_arrays", "read_catalog", "to_arrays", "write_catalog", "write_parts"]

#: Format of a catalogue -> ending of its file.
FORMATS = {"ecsv": ".ecsv", "votable": ".vot", "fits": ".cat.fits", "parquet": ".parquet", "csv": ".csv"}


def write_catalog(catalog: QTable, path: str | Path, form: str = "ecsv", executor: Executor | None = None) -> None:
    """Write a catalogue with units, UCDs and provenance.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    path : path
        Overwritten.
    form : {"ecsv", "votable", "fits", "parquet", "csv"}
        ``csv`` is for other programs: it has no place for units and provenance. ``parquet`` needs pyarrow.
    executor : `~concurrent.futures.Executor`, optional
        Turns the rows into text, where the format is one.
    """
    check_format(form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form in _TEXTS:
            write_parts(_cut(catalog, ROWS), Path(path), form, executor)
        else:
            {"fits": _write_fits, "parquet": _write_parquet}[form](catalog, Path(path))


def check_format(form: str) -> None:
    """Raise `UsageError` for a format that is not known, or whose library is not installed."""
    if form not in FORMATS:
        msg = f"There is no table format '{form}'. Choose from {', '.join(FORMATS)}."
        raise UsageError(msg)
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        msg = "Parquet needs pyarrow, which is not installed: pip install pyarrow"
        raise UsageError(msg)


ROWS = 10_000  # that become text at once: the text of a table takes ten times its memory
NOTES = "#"  # beside the columns of a catalogue as arrays
GROUP = 200_000  # rows that are written at once in the other formats


@dataclass(frozen=True)
class _Text:
    """A kind of text: the whole of a table as text, and what of it comes before the rows and after them."""

    of: Callable[[QTable], str]
    before: re.Pattern[str]
    after: re.Pattern[str] | None = None

    def frame(self, catalog: QTable) -> tuple[str, str]:
        """What comes before the rows of a table, and after them."""
        text = self.of(catalog[:1])
        begin, end = self._rows(text)
        return text[:begin], text[end:]

    def rows(self, catalog: QTable) -> str:
        """The rows of a table."""
        text = self.of(catalog)
        gc.collect()  # astropy's writers leave their texts in cycles, 2 kB a row
        return text[slice(*self._rows(text))]

    def _rows(self, text) -> tuple[int, int]:
        before = self.before.search(text)
        after = self.after.search(text) if self.after else None
        return before.end() if before else len(text), after.start() if after else len(text)


def write_parts(parts: Iterable[QTable], path: Path, form: str = "ecsv", executor: Executor | None = None) -> None:
    """Write a catalogue that comes in parts as text; units and provenance are those of the first part.

    Parameters
    ----------
    parts : iterable of `~astropy.table.QTable`
        Of the same columns; at least one, which may be empty.
    path : path
    form : {"ecsv", "votable", "csv"}
    executor : `~concurrent.futures.Executor`, optional
        Turns the parts into text.
    """
    text, parts = _TEXTS[form], iter(parts)
    first = next(parts)
    before, after = text.frame(first)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(before)
        for _, rows in run_tiles(text.rows, itertools.chain([first], parts), executor):
            stream.write(rows)
        stream.write(after)


def _cut(catalog, rows) -> Iterator[QTable]:
    return (catalog[start : start + rows] for start in range(0, max(len(catalog), 1), rows))


def _ecsv(catalog) -> str:
    text = io.StringIO()
    _sharing_units(catalog).write(text, format="ascii.ecsv")
    return text.getvalue()


def _sharing_units(catalog: QTable) -> QTable:
    """The same with one object for equal units: YAML writes one that comes again another way than one that is equal."""
    units: dict[u.UnitBase, u.UnitBase] = {}
    shared = catalog.copy(copy_data=False)
    for name, column in catalog.items():
        if type(column) is u.Quantity:
            shared[name] = u.Quantity(column.value, units.setdefault(column.unit, column.unit), copy=False)
            shared[name].info = column.info
    return shared


def _csv(catalog) -> str:
    text = io.StringIO()
    Table(catalog, copy=False).write(text, format="ascii.csv")
    return text.getvalue()


def _write_parquet(catalog, path):
    from pyarrow import parquet

    schema = _arrow(catalog[:0]).schema
    notes = {"astroseg": json.dumps(catalog.meta), "astroseg_columns": _columns_json(catalog)}
    with parquet.ParquetWriter(path, schema.with_metadata(notes)) as writer:
        for part in _cut(catalog, GROUP):
            writer.write_table(_arrow(part).cast(writer.schema))


def _arrow(catalog):
    """The same as a table of Arrow; units and UCDs are notes on its fields, for programs that look at them."""
    import pyarrow as pa

    fields, arrays = [], []
    for name in catalog.colnames:
        info, values = catalog[name].info, np.asarray(catalog[name])
        array = pa.array(values.tolist(), pa.string()) if values.dtype.kind in "UO" else pa.array(values)
        said = {"unit": str(info.unit or ""), "ucd": (info.meta or {}).get("ucd"), "description": info.description}
        fields.append(pa.field(name, array.type, metadata={key: text for key, text in said.items() if text}))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _votable(catalog) -> str:
    from astropy.io.votable.tree import Info, VOTableFile

    plain = Table(catalog, copy=True)
    plain.meta = {}
    for name in plain.colnames:
        plain[name].info.meta = dict(catalog[name].info.meta or {})
    votable = VOTableFile.from_table(plain)
    votable.get_first_table().infos.extend(
        [
            Info(name="astroseg", value=json.dumps(catalog.meta)),
            Info(name="astroseg_columns", value=_columns_json(catalog)),
        ]
    )
    stream = io.BytesIO()
    votable.to_xml(stream)
    return stream.getvalue().decode()


_TEXTS = {
    "ecsv": _Text(_ecsv, re.compile(r"^[^#].*\n", re.MULTILINE)),  # comments, and a line of names
    "csv": _Text(_csv, re.compile(r"\n")),
    "votable": _Text(_votable, re.compile(r"<TABLEDATA>\n"), re.compile(r" *</TABLEDATA>")),
}


def _write_fits(catalog, path):
    header = _fits_header(catalog)
    header["NAXIS2"] = len(catalog)
    stream = fits.StreamingHDU(path, header)
    try:
        for part in _cut(catalog, GROUP) if len(catalog) else ():
            stream.write(_fits_rows(part))
    finally:
        stream.close()


def _fits_header(catalog) -> fits.Header:
    header = _fits_table(catalog[:0]).header
    for number, name in enumerate(catalog.colnames, start=1):
        column_meta = catalog[name].info.meta or {}
        if "ucd" in column_meta:
            header[f"TUCD{number}"] = column_meta["ucd"]
        if catalog[name].info.description:
            header[f"TCOMM{number}"] = catalog[name].info.description.encode("ascii", "replace").decode()
    # Nested values do not fit FITS keywords: a JSON string, continued over as many cards as it needs.
    header["PROVJSON"] = json.dumps(catalog.meta)
    header["COLSJSON"] = _columns_json(catalog)
    return header


def _fits_table(catalog) -> fits.BinTableHDU:
    plain = Table(catalog, copy=True)
    plain.meta = {}
    return fits.table_to_hdu(plain)


def _fits_rows(catalog) -> np.ndarray:
    """The bytes of the rows, as they lie in a file."""
    file = io.BytesIO()
    _fits_table(catalog).writeto(file)
    file.seek(0)
    with fits.open(file) as hdul:
        table = hdul[1]
        size = table.header["NAXIS1"] * table.header["NAXIS2"]
        return np.frombuffer(file.getvalue(), np.uint8, size, table.fileinfo()["datLoc"])


def to_arrays(catalog: QTable) -> dict[str, np.ndarray]:
    """A catalogue as plain arrays: its columns, and what else is known of it as text."""
    ucds = {name: (catalog[name].info.meta or {}).get("ucd") for name in catalog.colnames}
    notes = {"meta": catalog.meta, "columns": json.loads(_columns_json(catalog)), "ucds": ucds}
    return {name: np.asarray(catalog[name]) for name in catalog.colnames} | {NOTES: np.array(json.dumps(notes))}


def from_arrays(arrays: dict[str, np.ndarray]) -> QTable:
    """The inverse of `to_arrays`."""
    notes = json.loads(str(arrays[NOTES]))
    table = Table({name: arrays[name] for name in notes["columns"]}, meta=notes["meta"])
    return _restored(table, notes["ucds"], notes["columns"])


def _columns_json(catalog) -> str:
    """Units and descriptions: FITS and VOTable know few units (no DN, no nmgy), and VOTable breaks lines."""
    columns = {}
    for name in catalog.colnames:
        info = catalog[name].info
        columns[name] = {
            "unit": None if info.unit is None else info.unit.to_string(),
            "description": info.description,
        }
    return json.dumps(columns)


def read_catalog(path: str | Path) -> QTable:
    """Read a catalogue that `write_catalog` wrote as ECSV, VOTable, FITS or Parquet, nothing lost."""
    path = Path(path)
    if not path.exists():
        msg = f"There is no file {path}."
        raise AstrosegError(msg)
    form = next((form for form, suffix in FORMATS.items() if path.name.endswith(suffix)), "")
    readers = {
        "ecsv": _read_ecsv,
        "votable": _read_votable,
        "fits": _read_fits,
        "parquet": _read_parquet,
        "csv": _read_csv,
    }
    if form not in readers:
        msg = f"Cannot tell the format of {path.name}. Known endings: {', '.join(FORMATS.values())}."
        raise AstrosegError(msg)
    check_format(form)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return readers[form](path)
    except Exception as error:
        msg = f"Cannot read the catalogue {path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}."
        raise AstrosegError(msg) from error


def _read_ecsv(path):
    return QTable.read(path, format="ascii.ecsv")


def _read_csv(path):
    return QTable.read(path, format="ascii.csv")


def _read_votable(path):
    from astropy.io.votable import parse

    first = parse(str(path)).get_first_table()
    table = first.to_table(use_names_over_ids=True)
    notes = {info.name: info.value for info in first.infos}
    table.meta = json.loads(notes.get("astroseg", "{}"))
    ucds = {item.name: item.ucd for item in first.fields}
    return _restored(table, ucds, json.loads(notes.get("astroseg_columns", "{}")))


def _read_fits(path):
    header = fits.getheader(path, 1)
    table = Table.read(path, hdu=1)
    table.convert_bytestring_to_unicode()
    table.meta = json.loads(header.get("PROVJSON", "{}"))
    ucds = {}
    for number, name in enumerate(table.colnames, start=1):
        ucds[name] = header.get(f"TUCD{number}")
        table[name].description = header.get(f"TCOMM{number}")
    return _restored(table, ucds, json.loads(header.get("COLSJSON", "{}")))


def _read_parquet(path):
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        arrow = file.read()
    notes = {key.decode(): text.decode() for key, text in (arrow.schema.metadata or {}).items()}
    table = Table(meta=json.loads(notes.get("astroseg", "{}")))
    ucds = {}
    for field in arrow.schema:
        values = arrow.column(field.name).to_numpy()
        table[field.name] = values.astype(str) if values.dtype.kind == "O" else values
        ucds[field.name] = ((field.metadata or {}).get(b"ucd") or b"").decode()
    return _restored(table, ucds, json.loads(notes.get("astroseg_columns", "{}")))


def _restored(table: Table, ucds: dict[str, str | None], notes: dict[str, dict[str, Any]]) -> QTable:
    """Return the table as it was written; what has no notes keeps what the format itself says."""
    result = QTable(meta=table.meta)
    for name in table.colnames:
        column, note = table[name], notes.get(name, {})
        unit = _unit(note["unit"]) if note else column.unit
        values = _native(column.data)
        result[name] = u.Quantity(values, unit) if unit is not None and values.dtype.kind in "iuf" else values
        result[name].info.description = note["description"] if note else column.description
        if ucds.get(name):
            result[name].info.meta = {"ucd": ucds[name]}
    return result


def _unit(text: str | None) -> u.UnitBase | None:
    return None if text is None else u.Unit(text, parse_strict="silent")


def _native(values: np.ndarray) -> np.ndarray:
    """Values without mask, in the byte order of this machine: pandas takes no other."""
    blank: dict[str, Any] = {"f": np.nan, "U": "", "O": ""}
    values = np.ma.filled(values, blank.get(values.dtype.kind, 0))
    return values.astype(values.dtype.newbyteorder("="), copy=False)
