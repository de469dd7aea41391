"""The numbers behind the figures: one table a figure, a row for each finder and bin, over all images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from astroseg.compare import Comparison, Run
from astroseg.evaluate import wilson
from astroseg.evaluate.curves import SNR_EDGES, sweep
from astroseg.evaluate.tables import column, common_columns
from astroseg.report.consensus import consensus_table
from astroseg.report.ranking import PIXEL_SCORES, pooled_scores

__all__ = ["curve_tables"]

MAX_POINTS = 400  # of the curve along a finder's own score; more would not be seen
_COUNTED = 5.0  # S/N, as evaluate_sources has it


def curve_tables(comparison: Comparison) -> dict[str, QTable]:
    """Every curve of the report by its name; finders without a value have no rows.

    Parameters
    ----------
    comparison : Comparison
    """
    makers: dict[str, Callable[[Sequence[Run]], QTable | None]] = {
        "seconds": lambda runs: _costs(runs, "seconds", u.s),
        "memory": lambda runs: _costs(runs, "memory", u.Mbyte),
    }
    if comparison.has_truth:
        makers = {
            "completeness": lambda runs: _shares(runs, "completeness_by_snr"),
            "reliability": lambda runs: _shares(runs, "reliability_by_snr"),
            "purity_completeness": _sweeps,
            "flux_ratio": lambda runs: _quantiles(runs, _flux_ratios),
            "position_error": lambda runs: _quantiles(runs, _separations),
            "pixels": _pixels,
        } | makers
    tables = {name: _all(comparison, make) for name, make in makers.items()}
    if not comparison.has_truth:
        tables["consensus"] = QTable(consensus_table(comparison))
    return {name: table for name, table in tables.items() if len(table)}


def _all(comparison, make) -> QTable:
    parts = []
    for backend in comparison.backends:
        runs = comparison.runs_of(backend)
        part = make(runs) if runs else None
        if part is not None and len(part):
            part.add_column([backend.label] * len(part), name="backend", index=0)
            parts.append(part)
    return vstack(parts, metadata_conflicts="silent") if parts else QTable()


def _shares(runs, name) -> QTable:
    curves = [run.sources.curves[name] for run in runs]
    successes, trials = (np.sum([getattr(curve, part) for curve in curves], axis=0) for part in ("successes", "trials"))
    low, high = wilson(successes, trials)
    share = np.divide(successes, trials, out=np.full(len(trials), np.nan), where=trials > 0)
    values = {"successes": successes, "trials": trials, "share": share, "low": low, "high": high}
    return QTable(_bins() | values)


def _bins() -> dict[str, Any]:
    return {"snr_low": SNR_EDGES[:-1], "snr_high": SNR_EDGES[1:]}


def _sweeps(runs):
    """Completeness against reliability, along the score that the finder has on all images."""
    names = {run.sources.sweep.score for run in runs}
    if len(names) != 1 or names == {"none"}:
        return None
    name = names.pop()
    values, true, counted, n_truth = [], [], [], 0.0
    for run in runs:
        snr = np.nan_to_num(column(run.field.truth.catalog, "snr"), nan=np.inf)
        matches, number = run.sources.matches, len(run.catalog)
        is_true, counts = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
        is_true[matches.found], counts[matches.found] = True, snr[matches.truth] >= _COUNTED
        values.append(column(run.catalog, name))
        true.append(is_true)
        counted.append(counts)
        n_truth += float(np.sum(snr >= _COUNTED))
    swept = sweep(name, np.concatenate(values), np.concatenate(true), np.concatenate(counted), n_truth)
    size = swept.threshold.size
    kept = np.unique(np.linspace(0, size - 1, min(size, MAX_POINTS)).astype(int))
    parts = ("threshold", "completeness", "reliability")
    return QTable({"score": [name] * len(kept)} | {part: getattr(swept, part)[kept] for part in parts})


def _quantiles(runs, measure) -> QTable | None:
    """Median and the middle 68 % of what is measured on matched sources, in bins of the truth's S/N."""
    pairs = list(filter(None, (measure(run) for run in runs)))
    if not pairs:
        return None
    unit = pairs[0][1].unit
    snr, values = np.concatenate([snr for snr, _ in pairs]), np.concatenate([part.to_value(unit) for _, part in pairs])
    rows = list(_rows(snr[np.isfinite(values)], values[np.isfinite(values)]))
    if not any(number for number, _ in rows):
        return None
    n, quantiles = [row[0] for row in rows], u.Quantity([row[1] for row in rows], unit).T
    return QTable(_bins() | {"n": n, "median": quantiles[1], "low": quantiles[0], "high": quantiles[2]})


def _rows(snr, values) -> Iterator[tuple[int, Any]]:
    index = np.digitize(snr, SNR_EDGES)
    for number in range(1, len(SNR_EDGES)):
        there = values[index == number]
        yield there.size, np.quantile(there, [0.16, 0.5, 0.84]) if there.size else np.full(3, np.nan)


def _flux_ratios(run):
    found, truth, matches = run.catalog, run.field.truth.catalog, run.sources.matches
    pair = common_columns(found, truth, "flux")
    if pair is None:
        return None
    mine, theirs = pair[0][matches.found], pair[1][matches.truth]
    ratio = np.divide(mine, theirs, out=np.full(len(mine), np.nan), where=theirs > 0)
    return column(truth, "snr")[matches.truth], u.Quantity(ratio)


def _separations(run):
    matches = run.sources.matches
    return column(run.field.truth.catalog, "snr")[matches.truth], matches.separation


def _pixels(runs) -> QTable | None:
    scores = pooled_scores(runs)
    rows = [(name, scores[f"pixel_{name}"]) for name in PIXEL_SCORES if f"pixel_{name}" in scores]
    rows = [(name, score) for name, score in rows if np.isfinite(score.value)]
    if not rows:
        return None
    names = [name for name, _ in rows]
    return QTable(
        {"score": names} | {end: [getattr(score, end) for _, score in rows] for end in ("value", "low", "high")}
    )


def _costs(runs, name, unit) -> QTable:
    """What a finder took on each image, where that is known."""
    known = [run for run in runs if np.isfinite(getattr(run, name))]
    names = [run.field.image.meta["name"] for run in known]
    megapixels = [run.field.image.data.size / 1e6 for run in known]
    return QTable({"image": names, name: [getattr(run, name) for run in known] * unit, "megapixels": megapixels})
