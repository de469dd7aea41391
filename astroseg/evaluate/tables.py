"""What comes in: columns of any table (astropy, pandas, a dict, a structured array). What goes out: plain JSON."""

from __future__ import annotations

import math
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from astroseg.errors import UsageError

__all__ = ["as_table", "check_shapes", "column", "common_columns", "length", "names", "plain", "quantity"]


def check_shapes(*arrays: np.ndarray | None) -> None:
    """Raise `UsageError` unless all arrays (but None) have one shape.

    Parameters
    ----------
    *arrays : `~numpy.ndarray` or None
    """
    shapes = {np.shape(array) for array in arrays if array is not None}
    if len(shapes) > 1:
        msg = f"Truth and detections must be images of one shape, not {' and '.join(map(str, sorted(shapes)))}."
        raise UsageError(msg)


def as_table(table: Any) -> Table:
    """An astropy table of any table.

    Parameters
    ----------
    table : table
    """
    return table if isinstance(table, Table) else QTable({name: table[name] for name in names(table)})


def names(table: Any) -> list[str]:
    """Names of the columns; ``in`` means rows for some tables.

    Parameters
    ----------
    table : table
    """
    if isinstance(table, np.ndarray):
        return list(table.dtype.names or ())
    if not hasattr(table, "keys"):
        msg = (
            f"A table of sources is astropy's, a pandas DataFrame, a dict of columns or a structured array, "
            f"not {type(table).__name__}; astroseg.read_catalog reads files."
        )
        raise UsageError(msg)
    return list(table.keys())


def length(table: Any) -> int:
    """Number of rows.

    Parameters
    ----------
    table : table
    """
    return next((len(table[name]) for name in names(table)), 0)


def column(table: Any, name: str, unit: u.UnitBase | None = None, bare: u.UnitBase | None = None) -> np.ndarray:
    """One column as float64; NaN where it is missing or masked.

    Parameters
    ----------
    table : table
    name : str
    unit : `~astropy.units.UnitBase`, optional
        Convert to this unit; by default the numbers are taken as they are.
    bare : `~astropy.units.UnitBase`, optional
        What numbers without a unit are in, by default ``unit``.
    """
    if name not in names(table):
        return np.full(length(table), np.nan)
    values = table[name]
    numbers = np.asarray(getattr(values, "unmasked", values), dtype=float)
    mask = getattr(values, "mask", None)
    if mask is not None and not callable(mask):  # pandas has a method of this name
        numbers = np.where(mask, np.nan, numbers)
    if unit is None:
        return numbers
    return u.Quantity(numbers, _unit(values) or bare or unit).to_value(unit)


def quantity(table: Any, name: str) -> u.Quantity:
    """One column with its unit (dimensionless where it has none); NaN where it is missing or masked.

    Parameters
    ----------
    table : table
    name : str
    """
    unit = _unit(table[name]) if name in names(table) else None
    return u.Quantity(column(table, name), unit or u.one)


def common_columns(first: Any, second: Any, name: str) -> tuple[np.ndarray, np.ndarray, u.UnitBase | None] | None:
    """A column of both tables in one unit, and the unit; `None` where their units differ in kind.

    Numbers without a unit are taken in that of the other table.

    Parameters
    ----------
    first, second : tables
    name : str
    """
    units = [_unit(table[name]) if name in names(table) else None for table in (first, second)]
    if units[0] is not None and units[1] is not None and not units[0].is_equivalent(units[1]):
        return None
    unit = units[1] if units[1] is not None else units[0]
    return column(first, name, unit), column(second, name, unit), unit


def _unit(values):
    return getattr(values, "unit", None)


def plain(value: Any) -> Any:
    """What JSON can hold: numpy numbers become Python's, and NaN becomes None.

    Parameters
    ----------
    value : number, str, None, or dict or sequence of such
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
