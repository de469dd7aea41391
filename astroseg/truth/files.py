"""A file -> its text, or a table with column names and units, whatever wrote it."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections import Counter
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from astroseg.errors import AstrosegError, AstrosegWarning
from astroseg.header import parse_unit

__all__ = ["is_fits", "numbers", "read_bytes", "read_table", "read_text", "unit_of"]

BLANK = {"", "-", "--", "---", "nan", "null", "none", "n/a", "na", "masked"}
_SEXTRACTOR = re.compile(r"#\s*\d+\s+[A-Z][A-Z0-9_]*(\s|$)")


def read_bytes(path: Path) -> bytes:
    """Content of a file, unpacked where it is gzipped."""
    if not path.exists():
        msg = f"There is no file {path}."
        raise AstrosegError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; give a catalogue, polygons or a label image in it."
        raise AstrosegError(msg)
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except PermissionError as error:
        msg = f"No permission to read {path}."
        raise AstrosegError(msg) from error
    except (OSError, EOFError) as error:
        msg = f"Cannot unpack {path.name}: it is damaged or truncated."
        raise AstrosegError(msg) from error
    if not content.strip():
        msg = f"{path.name} is empty."
        raise AstrosegError(msg)
    return content


def is_fits(content: bytes) -> bool:
    """Whether this is the content of a FITS file."""
    return content.startswith(b"SIMPLE  =")


def read_text(path: Path) -> str:
    """Content of a text file."""
    content = read_bytes(path)
    if b"\x00" in content[:4096] or is_fits(content):
        msg = f"{path.name} is not a text file."
        raise AstrosegError(msg)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_table(path: Path, hdu: int | str | None = None) -> Table:
    """Read a table in FITS, VOTable, ECSV, or text with or without a header.

    Column names of text come from its first row, or from the last comment above the data that has a word for each
    column; units from a comment in brackets. Without names the columns are called ``col1``, ``col2``, ...

    Parameters
    ----------
    path : `~pathlib.Path`
    hdu : int or str, optional
        Extension of a FITS file, by default the first table of more than one column.

    Returns
    -------
    `~astropy.table.Table`
        Columns of text that hold numbers only are numbers.
    """
    content = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy remarks on units and names; we look at both ourselves
            if is_fits(content):
                return _fits_table(path, hdu)
            head = content[:2048].lstrip(b"\xef\xbb\xbf \r\n")
            if head.startswith(b"<"):
                return _votable(path)
            if head.startswith(b"# %ECSV"):
                return Table.read(path, format="ascii.ecsv")
    except AstrosegError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0][:120].rstrip(". ")
        msg = f"Cannot read {path.name}: it is damaged, truncated or no table ({text or type(error).__name__})."
        raise AstrosegError(msg) from error
    return _text_table(read_text(path), path.name)


def _fits_table(path, hdu) -> Table:
    with fits.open(path, memmap=False) as hdul:
        tables = [number for number, item in enumerate(hdul) if isinstance(item, fits.BinTableHDU | fits.TableHDU)]
        tables = [number for number in tables if not isinstance(hdul[number], fits.CompImageHDU)]
        if not tables:
            msg = f"{path.name} holds no table."
            raise AstrosegError(msg)
        # SExtractor puts the header of its image into a table of one cell, before its catalogue.
        wide = [number for number in tables if len(hdul[number].columns) > 1] or tables
        table = Table.read(hdul[wide[0] if hdu is None else hdu])
    table.convert_bytestring_to_unicode()
    table.meta = {}
    return table


def _votable(path) -> Table:
    from astropy.io.votable import parse

    return parse(str(path), verify="ignore").get_first_table().to_table(use_names_over_ids=True)


def _text_table(text: str, name: str) -> Table:
    lines = [line.strip("\r\n\ufeff ") for line in text.splitlines()]
    comments = [line for line in lines if _is_comment(line)]
    rows = _split_lines([line for line in lines if line and not _is_comment(line)])
    if any(_SEXTRACTOR.match(line) for line in lines[:3]):
        names, units = _sextractor_header(lines)
    else:
        names, units, rows = _header(rows, comments)
    rows = _of_one_length(rows, len(names), names[-1:] == ["comment"], name)
    repeated = [key for key, count in Counter(names).items() if count > 1]
    if repeated:
        msg = f"{name} has {Counter(names)[repeated[0]]} columns called '{repeated[0]}'."
        raise AstrosegError(msg)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return Table([_typed(cells, key, units.get(key)) for key, cells in zip(names, columns, strict=True)], copy=False)


def _is_comment(line) -> bool:
    """Whether a line says something about the table; the training sets of SDC1 describe each column on a line."""
    return line.startswith("#") or re.match(r"COLUMN\d+:", line) is not None


def _split_lines(lines) -> list[list[str]]:
    if not lines:
        return []
    counts = {delimiter: min(line.count(delimiter) for line in lines[:5]) for delimiter in ",\t;|"}
    best = max(counts, key=lambda delimiter: counts[delimiter])
    if counts[best] == 0:
        return [line.split() for line in lines]
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=best)]


def _header(rows, comments) -> tuple[list[str], dict[str, str], list[list[str]]]:
    """Names and units of the columns, and the rows below them."""
    units: dict[str, str] = {}
    if rows and not any(_is_number(cell) for cell in rows[0]):
        # A dashed line, or one of units, may follow.
        start = next((number for number, row in enumerate(rows[1:], 1) if any(map(_is_number, row))), 1)
        if start > 1 and len(rows[1]) == len(rows[0]):
            units = dict(zip(rows[0], rows[1], strict=True))
        return rows[0], units, rows[start:]
    width = len(rows[0]) if rows else 0
    bracketed = [line for line in comments if line.count(" [") > 1]
    said = [(line, _words(line)) for line in comments if line not in bracketed]
    named = [(line, words) for line, words in said if _can_be_names(words, width)]
    if not named:
        return [f"col{number + 1}" for number in range(width)], units, rows
    return named[-1][1], _units_below(named[-1][0], bracketed[-1]) if bracketed else units, rows


def _can_be_names(words, width) -> bool:
    """Whether these may be the names of ``width`` columns (0: any), the last of which may be free text."""
    free = words[-1:] == ["comment"] and len(words) - 1 <= width
    return len(words) > 1 and not any(map(_is_number, words)) and (width in (0, len(words)) or free)


def _units_below(names, units) -> dict[str, str]:
    """Units in brackets on a line below the names, right-aligned to them; some columns have none."""
    ends = {match.end(): match[0] for match in re.finditer(r"[^\s#]+", names)}
    found = {match.end(): match[1] for match in re.finditer(r"\[([^\]]*)\]", units)}
    return {ends[min(ends, key=lambda end: abs(end - place))]: unit for place, unit in found.items()}


def _words(comment) -> list[str]:
    comment = comment.lstrip("# ")
    comment = re.sub(r"^format\s*[:=]", "", comment, flags=re.IGNORECASE)
    return [word.strip() for word in comment.split(",")] if "," in comment else comment.split()


def _sextractor_header(lines) -> tuple[list[str], dict[str, str]]:
    """Names and units of an ASCII_HEAD catalogue, whose vectors leave gaps in the numbers of the columns."""
    matches = [re.match(r"#\s*(\d+)\s+(\w+)(?:.*\[([^\]]*)\])?", line) for line in lines if line.startswith("#")]
    items = [(int(match[1]), match[2], match[3] or "") for match in matches if match]
    width = next((len(line.split()) for line in lines if line and not line.startswith("#")), items[-1][0])
    ends = [number for number, _, _ in items[1:]] + [width + 1]
    names: list[str] = []
    units: dict[str, str] = {}
    for (number, key, unit), end in zip(items, ends, strict=True):
        parts = [key] + [f"{key}_{part}" for part in range(1, end - number)]
        names += parts
        units.update(dict.fromkeys(parts, unit))
    return names, units


def _of_one_length(rows, width, last_is_text, name) -> list[list[str]]:
    """Leave out the rows that have another number of cells; free text at the end may have any number of words."""
    if last_is_text:
        rows = [[*row[: width - 1], " ".join(row[width - 1 :])] for row in rows]
    good = [row for row in rows if len(row) == width]
    if rows and not good:
        msg = f"The header of {name} has {width} words, its first row {len(rows[0])}; is the delimiter the same?"
        raise AstrosegError(msg)
    if len(good) < len(rows):
        bad = len(rows) - len(good)
        warnings.warn(f"{bad} of {len(rows)} rows of {name} have not {width} cells, and are left out.", AstrosegWarning,
                      stacklevel=4)  # fmt: skip
    return good


def _typed(cells, name, unit) -> Column:
    values = np.array(cells, dtype=str)
    # The sign of -0 degrees 30 minutes is lost in a whole number.
    for kind in (np.float64,) if np.strings.startswith(values, "-0").any() else (np.int64, np.float64):
        try:
            return Column(values.astype(kind), name=name, unit=_said(unit))
        except ValueError:
            continue
    return Column(values, name=name, unit=_said(unit))


def _said(unit) -> u.UnitBase | None:
    """The unit that a header names, or an unrecognised one to be complained about where it is wanted."""
    if not unit or set(unit) <= set("- "):
        return None
    return u.Unit(unit, parse_strict="silent")


def _is_number(text) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def unit_of(column: Column, default: str | None, name: str) -> u.UnitBase | None:
    """The unit of a column, or the one that its program is known to use."""
    unit = column.unit
    if unit is None or str(unit).strip() == "":
        return None if default is None else u.Unit(default)
    try:
        return parse_unit(str(unit)) if isinstance(unit, u.UnrecognizedUnit) else unit
    except (ValueError, TypeError) as error:
        msg = f"Cannot read the unit '{unit}' of the column {column.name} of {name}."
        raise AstrosegError(msg) from error


def numbers(column: Column, name: str) -> np.ndarray:
    """The values of a column as float64; NaN, and a warning, where a cell holds no number."""
    if column.dtype.kind in "iufb":
        values = np.array(column, dtype=np.float64)
        if isinstance(column, MaskedColumn):
            values[np.ma.getmaskarray(column)] = np.nan
        return values
    cells = [str(cell).strip() for cell in np.ma.filled(column, "")]
    wrong = [cell for cell in cells if not _is_number(cell) and cell.lower() not in BLANK]
    if wrong:
        warnings.warn(
            f"{len(wrong)} of {len(cells)} cells of the column {column.name} of {name} hold no number, "
            f"for example '{wrong[0][:30]}'.",
            AstrosegWarning,
            stacklevel=4,
        )
    return np.array([float(cell) if _is_number(cell) else np.nan for cell in cells])
