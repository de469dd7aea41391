"""The report of a comparison: tables, curves, figures, and one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

from astropy.table import Table

from astroseg.compare import Comparison
from astroseg.errors import UsageError
from astroseg.output import write_all
from astroseg.report.consensus import agreement_of_pairs, consensus_table, cross_match, objects_table
from astroseg.report.curves import curve_tables
from astroseg.report.figures import FIGURES, draw, render, styles_of
from astroseg.report.gallery import cutouts, disputes
from astroseg.report.page import render_page
from astroseg.report.ranking import pool, pooled_scores, score_table
from astroseg.report.sweep import best_settings, parse_grid, sweep_table

__all__ = [
    "agreement_of_pairs",
    "best_settings",
    "check_figures",
    "consensus_table",
    "cross_match",
    "curve_tables",
    "objects_table",
    "parse_grid",
    "pool",
    "pooled_scores",
    "score_table",
    "sweep_table",
    "write_report",
    "write_sweep",
]

FORMATS = ("pdf", "png", "svg")


def check_figures(form: str | None) -> None:
    """Raise `UsageError` for a format that figures can't be written in.

    Parameters
    ----------
    form : str or None
    """
    if form not in (None, *FORMATS):
        msg = f"There is no figure format '{form}'. Choose from {', '.join(FORMATS)}."
        raise UsageError(msg)


def write_report(comparison: Comparison, folder: str | Path, *, figures: str | None = None) -> list[Path]:
    """Write ``scores.ecsv``, ``scores.csv``, ``curves/*.ecsv`` and ``report.html``; replace older ones.

    Without truth, ``consensus.ecsv``, ``pairs.ecsv`` and ``objects.ecsv`` say who found what.

    Parameters
    ----------
    comparison : `~astroseg.compare.Comparison`
    folder : path
    figures : {"pdf", "png", "svg"}, optional
        Also write the figures as files, to ``figures``.

    Returns
    -------
    list of `~pathlib.Path`
    """
    check_figures(figures)
    folder = Path(folder)
    scores, curves = score_table(comparison), curve_tables(comparison)
    styles = styles_of([backend.label for backend in comparison.backends])
    drawn = {name: draw(name, curves[name], styles) for name in FIGURES if name in curves}
    pictures = chain(disputes(comparison), cutouts(comparison))
    page = render_page(comparison, scores, {name: render(figure, "svg") for name, figure in drawn.items()}, pictures)
    jobs = {folder / "scores.ecsv": _table(scores), folder / "scores.csv": _table(scores, "ascii.csv")}
    if not comparison.has_truth:
        made = {"consensus": consensus_table, "pairs": agreement_of_pairs, "objects": objects_table}
        jobs |= {folder / f"{name}.ecsv": _table(make(comparison)) for name, make in made.items()}
    jobs |= {folder / "curves" / f"{name}.ecsv": _table(table) for name, table in curves.items()}
    if figures:
        images = {name: render(figure, figures) for name, figure in drawn.items()}
        jobs |= {folder / "figures" / f"{name}.{figures}": _bytes(content) for name, content in images.items()}
    jobs[folder / "report.html"] = _bytes(page.encode())
    write_all(jobs)
    return list(jobs)


def write_sweep(comparison: Comparison, folder: str | Path) -> Path:
    """Write the scores of all settings of one finder to ``sweeps/NAME.ecsv``; replace an older file.

    Parameters
    ----------
    comparison : `~astroseg.compare.Comparison`
    folder : path
    """
    path = Path(folder) / "sweeps" / f"{comparison.backends[0].finder.name}.ecsv"
    write_all({path: _table(sweep_table(comparison))})
    return path


def _table(table: Table, form: str = "ascii.ecsv") -> Callable[[Path], None]:
    return lambda path: table.write(path, format=form, overwrite=True)


def _bytes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write
