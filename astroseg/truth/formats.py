"""Which format a truth file has, by its content."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.table import Table

from astroseg.errors import AstrosegError, AstrosegWarning, UsageError
from astroseg.truth.dialects import dialect_of
from astroseg.truth.files import is_fits, read_bytes, read_table

__all__ = ["FORMATS", "check_format", "read_json", "recognise", "table_format"]

#: Every format that `~astroseg.truth.read_truth` knows, and what it is.
FORMATS = {
    "astroseg": "a catalogue of astroseg: ECSV, VOTable, FITS, Parquet or CSV",
    "sdc1": "SKA Science Data Challenge 1: the official 12 columns, with or without a header",
    "pybdsf": "PyBDSF source list (.srl) or Gaussian list (.gaul), text or FITS",
    "aegean": "Aegean components: FITS, CSV or VOTable",
    "selavy": "Selavy components: text or VOTable",
    "sextractor": "SExtractor: ASCII_HEAD or FITS_LDAC",
    "tigger": "Tigger sky model: text with a line '#format: name ra_d dec_d i ...'",
    "hek": "events of the Heliophysics Event Knowledgebase: JSON with polygons",
    "labelme": "polygons drawn with labelme: JSON",
    "ds9": "DS9 regions: polygons, ellipses, circles, boxes, points",
    "labels": "label image: FITS, each number a source",
    "mask": "mask: FITS, each connected part a source",
    "table": "any other table; say with columns what is what",
}

PARQUET = b"PAR1"  # how such a file begins

_SHAPES = r"(polygon|ellipse|circle|box|point)\s*[( ]"
_DS9 = re.compile(
    rf"\s*(#\s*Region file format|[-+]?{_SHAPES}|(fk5|icrs|image|galactic|physical)\s*(;|\n))", re.IGNORECASE
)


def recognise(path: Path) -> str:
    """Return the name of the format of a file, one of `FORMATS`.

    Raises
    ------
    AstrosegError
        When there is no such file, or its content is none of these.
    """
    content = read_bytes(path)
    if is_fits(content):
        return _fits_format(path)
    if content.startswith(PARQUET):
        return "astroseg"
    if b"\x00" in content[:4096]:
        msg = f"{path.name} is neither text nor FITS. The formats are: {', '.join(FORMATS)}."
        raise AstrosegError(msg)
    head = content[:65536].decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith(("{", "[")):
        return _json_format(path)
    if re.search(r"^#\s*format\s*:", head, re.IGNORECASE | re.MULTILINE):
        return "tigger"
    if _DS9.match(head):
        return "ds9"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)  # what is wrong with rows is said when they are wanted
        return table_format(read_table(path))


def table_format(table: Table) -> str:
    """Return the name of the format of a table, by its columns."""
    dialect = dialect_of(table)
    if dialect is not None:
        return dialect.name
    return "sdc1" if _looks_like_sdc1(table) else "table"


def _fits_format(path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path) as hdul:
                has_image = any(hdu.is_image and len(hdu.shape) > 0 for hdu in hdul)
                has_table = any(isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not hdu.is_image for hdu in hdul)
    except Exception as error:
        msg = f"Cannot read {path.name}: it is damaged or truncated."
        raise AstrosegError(msg) from error
    if has_table:
        dialect = dialect_of(read_table(path))
        return "table" if dialect is None else dialect.name
    if has_image:
        return "labels"
    msg = f"{path.name} holds neither a table nor an image; it may be truncated."
    raise AstrosegError(msg)


def _json_format(path) -> str:
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("result"), list):
        return "hek"
    if isinstance(content, dict) and isinstance(content.get("shapes"), list):
        return "labelme"
    msg = f"{path.name} is JSON, but neither of HEK (it would have 'result') nor of labelme ('shapes')."
    raise AstrosegError(msg)


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        msg = f"Cannot read {path.name}: it is damaged or truncated JSON ({str(error)[:80]})."
        raise AstrosegError(msg) from error


def _looks_like_sdc1(table) -> bool:
    """Twelve columns of numbers, the last ones being codes from 1 to 3."""
    columns = [table[name] for name in table.colnames[:12]]
    if len(table) == 0 or len(columns) < 12 or any(column.dtype.kind not in "if" for column in columns):
        return False
    return all(column.dtype.kind == "i" and column.min() >= 1 and column.max() <= 3 for column in columns[10:])


def check_format(name: str) -> str:
    """Return the name of a format, or raise `UsageError` with all there are."""
    if name not in FORMATS:
        msg = f"There is no truth format '{name}'. Choose from {', '.join(FORMATS)}."
        raise UsageError(msg)
    return name
