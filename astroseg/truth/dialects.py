"""Column names, units and angles of each program's source lists -> those of `astroseg.catalog.COLUMNS`.

Rows are held as a dict of columns: ours by their names, the program's own with its name in front. A column without a
unit is in the catalogue's own. Sizes in pixels belong to ellipses on the image, with a position angle from +y to -x.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle
from astropy.table import Table

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import COLUMNS
from astroseg.errors import AstrosegError, UsageError
from astroseg.header import parse_unit
from astroseg.truth.files import numbers, unit_of

__all__ = ["DIALECTS", "POSITIONS", "Dialect", "Rows", "dialect_of", "translate", "with_columns"]

Rows = dict[str, Any]

#: Pairs of columns that give a position; one of them must be there.
POSITIONS = (
    ("ra", "dec"),
    ("glon", "glat"),
    ("hpc_x", "hpc_y"),
    ("hg_lon", "hg_lat"),
    ("x_centroid", "y_centroid"),
)

# SDC1 gives largest angular sizes (1), Gaussian FWHM (2) and exponential sizes (3); the factors to a Gaussian
# FWHM are those of the official scorer.
_SDC1_SIZES = {1: FWHM_PER_SIGMA / 5, 2: 1.0, 3: np.sqrt(2)}
_SDC1 = [
    "id", "ra_core", "dec_core", "ra_cent", "dec_cent", "flux", "core_frac", "b_maj", "b_min", "pa", "size", "class",
]  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How a program names and measures things.

    Parameters
    ----------
    name : str
    telling : set of str
        Columns, in lower case, that together no other program has.
    columns : dict of str to (str, str or None)
        Ours to theirs (in lower case, alternatives separated by ``|``) and its unit where the file has none.
    identity : str
        Their column that tells the sources apart.
    finish : callable, optional
        What conversion of units cannot do; it gets the rows and the table, and changes the rows.
    """

    name: str
    telling: frozenset[str]
    columns: Mapping[str, tuple[str, str | None]]
    identity: str = ""
    finish: Callable[[Rows, Table], None] | None = None


def _finish_sdc1(rows: Rows, table: Table) -> None:
    factor = np.ones(len(table))
    for code, value in _SDC1_SIZES.items():
        factor[np.asarray(rows["sdc1_size"]) == code] = value
    for name in ("deconvolved_major", "deconvolved_minor"):
        rows[name] = rows[name] * factor
    rows["deconvolved_pa"] = 90 * u.deg - rows["deconvolved_pa"]  # from east towards north, in SDC1


def _finish_sextractor(rows: Rows, table: Table) -> None:
    """1-based pixels, sizes of one sigma, angles from +x through +y (`_world`: from east through north)."""
    for name in ("x_centroid", "y_centroid"):
        if name in rows:
            rows[name] = rows[name] - 1 * u.pix
    have = {name.lower(): name for name in table.colnames}
    for name in ("fwhm_major", "fwhm_minor"):
        if name in rows and not isinstance(rows[name], u.Quantity):
            rows[name] = rows[name] * (u.deg if "a_world" in have else u.pix)
    if "fwhm_minor" not in rows and {"x2_image", "y2_image", "xy_image"} <= set(have):
        xx, yy, xy = (np.asarray(table[have[name]], dtype=float) for name in ("x2_image", "y2_image", "xy_image"))
        middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        rows["fwhm_major"], rows["fwhm_minor"] = (
            np.sqrt(np.fmax(part, 0)) * u.pix for part in (middle + half, middle - half)
        )
        rows["pa"] = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) * u.deg - 90 * u.deg
    elif "sextractor_theta" in rows and "fwhm_major" in rows:
        theta = rows.pop("sextractor_theta")
        rows["pa"] = theta - 90 * u.deg if rows["fwhm_major"].unit == u.pix else 90 * u.deg - theta
    for name in ("fwhm_major", "fwhm_minor"):
        if name in rows:
            rows[name] = rows[name] * FWHM_PER_SIGMA


def _finish_tigger(rows: Rows, table: Table) -> None:
    """Angles of one field (``ra_d``) or several (``ra_h ra_m ra_s``), in the unit that their names say."""
    have = {name.lower().rstrip("."): name for name in table.colnames}
    units = {"rad": u.rad, "d": u.deg, "h": u.hourangle, "m": u.arcmin, "s": u.arcsec}
    for ours, theirs in {"ra": "ra", "dec": "dec", "deconvolved_major": "emaj", "deconvolved_minor": "emin",
                         "deconvolved_pa": "pa"}.items():  # fmt: skip
        lead = next((key for key in units if f"{theirs}_{key}" in have), None)
        if lead is None:
            continue
        first = table[have[f"{theirs}_{lead}"]]
        value = np.abs(numbers(first, "the sky model"))
        for key, part in (("m", 60), ("s", 3600)):
            if key != lead and f"{theirs}_{key}" in have:
                value = value + numbers(table[have[f"{theirs}_{key}"]], "the sky model") / part
        sign = table[have.get(f"{theirs}_sign", first.name)]
        negative = np.array([str(cell).strip().startswith("-") for cell in sign])
        rows[ours] = np.where(negative, -value, value) * units[lead]


# fmt: off
_PYBDSF = {
    "ra": ("ra", "deg"), "dec": ("dec", "deg"), "ra_err": ("e_ra", "deg"), "dec_err": ("e_dec", "deg"),
    "x_centroid": ("xposn", "pix"), "y_centroid": ("yposn", "pix"),
    "flux": ("total_flux", "Jy"), "flux_err": ("e_total_flux", "Jy"), "peak_flux": ("peak_flux", "Jy/beam"),
    "fwhm_major": ("maj", "deg"), "fwhm_minor": ("min", "deg"), "pa": ("pa", "deg"),
    "deconvolved_major": ("dc_maj", "deg"), "deconvolved_minor": ("dc_min", "deg"), "deconvolved_pa": ("dc_pa", "deg"),
    "local_rms": ("isl_rms", "Jy/beam"), "island": ("isl_id", None),
}
_AEGEAN = {
    "ra": ("ra", "deg"), "dec": ("dec", "deg"), "ra_err": ("err_ra", "deg"), "dec_err": ("err_dec", "deg"),
    "flux": ("int_flux", "Jy"), "flux_err": ("err_int_flux", "Jy"), "peak_flux": ("peak_flux", "Jy/beam"),
    "fwhm_major": ("a", "arcsec"), "fwhm_minor": ("b", "arcsec"), "pa": ("pa", "deg"),
    "local_rms": ("local_rms", "Jy/beam"), "island": ("island", None),
}
_SELAVY = {
    "ra": ("ra_deg_cont", "deg"), "dec": ("dec_deg_cont", "deg"),
    "ra_err": ("ra_err", "arcsec"), "dec_err": ("dec_err", "arcsec"),
    "flux": ("flux_int", "mJy"), "flux_err": ("flux_int_err", "mJy"), "peak_flux": ("flux_peak", "mJy/beam"),
    "fwhm_major": ("maj_axis", "arcsec"), "fwhm_minor": ("min_axis", "arcsec"), "pa": ("pos_ang", "deg"),
    "deconvolved_major": ("maj_axis_deconv", "arcsec"), "deconvolved_minor": ("min_axis_deconv", "arcsec"),
    "deconvolved_pa": ("pos_ang_deconv", "deg"), "local_rms": ("rms_image", "mJy/beam"),
}
_SEXTRACTOR = {
    "ra": ("alpha_j2000|alphawin_j2000|alpha_sky|alpha_world", "deg"),
    "dec": ("delta_j2000|deltawin_j2000|delta_sky|delta_world", "deg"),
    "x_centroid": ("xwin_image|x_image", "pix"), "y_centroid": ("ywin_image|y_image", "pix"),
    "flux": ("flux_auto|flux_best|flux_iso", None), "flux_err": ("fluxerr_auto|fluxerr_best|fluxerr_iso", None),
    "peak_flux": ("flux_max", None),
    "fwhm_major": ("a_world|a_image", None), "fwhm_minor": ("b_world|b_image", None),
    "sextractor_theta": ("theta_world|theta_image", "deg"), "n_pixels": ("isoarea_image", None),
}
_SDC1_COLUMNS = {
    "ra": ("ra_cent", "deg"), "dec": ("dec_cent", "deg"), "flux": ("flux", "Jy"),
    "deconvolved_major": ("b_maj", "arcsec"), "deconvolved_minor": ("b_min", "arcsec"), "deconvolved_pa": ("pa", "deg"),
    **{f"sdc1_{name}": (name, None) for name in _SDC1},
}

_OWN: dict[str, tuple[str, str | None]] = {column.name: (column.name, None) for column in COLUMNS}
_ANY = {**_OWN, "glon": ("glon", "deg"), "glat": ("glat", "deg")}
del _ANY["label"]  # a column called label may hold anything
_TIGGER = {"flux": ("i", "Jy"), "flux_err": ("i_err", "Jy")}
# fmt: on

#: The programs whose tables are known, in the order in which they are tried.
DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("sdc1", frozenset(_SDC1), _SDC1_COLUMNS, "id", _finish_sdc1),
        Dialect("pybdsf", frozenset({"isl_id", "total_flux", "ra", "dec"}), _PYBDSF, "gaus_id|source_id"),
        Dialect("aegean", frozenset({"island", "source", "peak_flux", "int_flux"}), _AEGEAN, "uuid"),
        Dialect("selavy", frozenset({"ra_deg_cont", "dec_deg_cont"}), _SELAVY, "component_id"),
        Dialect("sextractor", frozenset({"x_image", "y_image"}), _SEXTRACTOR, "number", _finish_sextractor),
        Dialect("astroseg", frozenset({"label", "x_centroid", "y_centroid", "fwhm_major"}), _OWN, "label"),
        Dialect("tigger", frozenset(), _TIGGER, "name", _finish_tigger),
        Dialect("table", frozenset(), _ANY),
    )
}


def dialect_of(table: Table) -> Dialect | None:
    """The program that wrote a table, by its columns, or `None`."""
    have = {name.lower() for name in table.colnames}
    for dialect in DIALECTS.values():
        if dialect.telling and dialect.telling <= have:
            return dialect
    return None


def with_columns(dialect: Dialect, columns: dict[str, str], table: Table, name: str) -> Dialect:
    """Let the user say which column holds what: ``{"ra": "RAJ2000", "flux": "S1400[mJy]"}``."""
    known = DIALECTS["table"].columns
    have = {key.lower() for key in table.colnames}
    given = {}
    for ours, text in columns.items():
        theirs, unit = _column_and_unit(str(text))
        if ours not in known and ours != "label":
            msg = f"There is no column '{ours}' to be read. Choose from {', '.join(['label', *known])}."
            raise UsageError(msg)
        if theirs.lower() not in have:
            msg = f"{name} has no column '{theirs}'. It has: {_listed(table.colnames)}."
            raise UsageError(msg)
        given[ours] = (theirs.lower(), unit)
    # What the user says of a position, a flux or a shape replaces what would have been guessed.
    return replace(
        dialect, columns={**dialect.columns, **given}, identity=columns.get("label", dialect.identity).lower()
    )


def _column_and_unit(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.*?)\s*\[(.+)\]", text)
    if not match:
        return text, None
    try:
        return match[1], parse_unit(match[2]).to_string()
    except (ValueError, TypeError) as error:
        msg = f"Cannot read the unit '{match[2]}' of '{text}'. Examples: S1400[mJy], size[arcmin]."
        raise UsageError(msg) from error


def translate(table: Table, dialect: Dialect, name: str) -> Rows:
    """Bring a table into our columns; every other column follows with the program's name in front.

    Parameters
    ----------
    table : `~astropy.table.Table`
    dialect : `Dialect`
    name : str
        What to call the file in messages.

    Returns
    -------
    dict
        Columns as arrays or `~astropy.units.Quantity`.
    """
    if dialect.name == "sdc1":
        table = _named_sdc1(table, name)
    have: dict[str, str] = {}
    for column in table.colnames:
        have.setdefault(column.lower(), column)
    rows: Rows = {}
    used = set()
    for ours, (theirs, unit) in dialect.columns.items():
        column = next((have[key] for key in theirs.split("|") if key in have), None)
        if column is not None:
            rows[ours] = _values(table[column], ours, unit, name)
            used.add(column)
    if dialect.finish is not None:
        dialect.finish(rows, table)
    for column in table.colnames:
        if column not in used:
            rows.setdefault(f"{dialect.name}_{column.lower()}", table[column])
    identity = next((have[key] for key in dialect.identity.split("|") if key in have), None)
    if identity is not None:
        rows["identity"] = np.asarray(table[identity])
    _check_positions(rows, table, dialect, name)
    return rows


def _named_sdc1(table: Table, name: str) -> Table:
    """The official twelve columns are known by their order: headers spell them in many ways."""
    if set(_SDC1) <= {column.lower() for column in table.colnames}:
        return table
    if len(table.colnames) < len(_SDC1):
        msg = f"{name} has {len(table.colnames)} columns; an SDC1 catalogue has 12: {', '.join(_SDC1)}."
        raise AstrosegError(msg)
    names = _SDC1 + [f"{key}_2" if key in _SDC1 else key for key in table.colnames[len(_SDC1) :]]
    return Table([table[key] for key in table.colnames], names=names, copy=False)


def _values(column, ours, unit, name) -> Any:
    """A column as numbers with their unit; sexagesimal positions in hours and degrees."""
    if ours in ("ra", "dec") and column.dtype.kind in "UO" and any(":" in str(cell) for cell in column):
        return _sexagesimal(column, u.hourangle if ours == "ra" else u.deg, name)
    if column.ndim > 1:
        column = column[:, 0]
    values = numbers(column, name)
    unit = unit_of(column, unit, name)
    return values if unit is None or unit == u.dimensionless_unscaled else values * unit


def _sexagesimal(column, unit, name) -> u.Quantity:
    try:
        return Angle([str(cell) for cell in column], unit).to(u.deg).view(u.Quantity)
    except ValueError as error:
        msg = (
            f"Cannot read the column {column.name} of {name} as sexagesimal angles: {str(error).splitlines()[0][:80]}."
        )
        raise AstrosegError(msg) from error


def _check_positions(rows, table, dialect, name) -> None:
    if any(first in rows and second in rows for first, second in POSITIONS):
        return
    there = [column for pair in POSITIONS for column in pair if column in rows]
    missing = next(
        (second if first in there else first for first, second in POSITIONS if {first, second} & set(there)), ""
    )
    trouble = f"has no column for {missing}" if missing else "has no columns for the positions"
    msg = (
        f"{name} {trouble} (read as {dialect.name}). It has: {_listed(table.colnames)}. "
        "Say which is which with columns, for example ra=RAJ2000,dec=DEJ2000."
    )
    raise AstrosegError(msg)


def _listed(names) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
