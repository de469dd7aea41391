"""Finders against each other, where there is no truth: who found what, and do their measurements agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from astropy.table import QTable, Table, vstack

from astroseg.compare import Comparison, Run
from astroseg.evaluate import match_sources
from astroseg.evaluate.agreement import measure_agreement
from astroseg.evaluate.null import matching_lengths
from astroseg.evaluate.positions import common_positions

__all__ = ["agreement_of_pairs", "consensus_table", "cross_match", "objects_table"]

_PLACES = ("ra", "dec", "hpc_x", "hpc_y", "hg_lon", "hg_lat", "x_centroid", "y_centroid")


def matching_radius(run: Run, radius: Any) -> Any:
    """The radius of a match as an angle, or in pixels where there is no sky.

    Parameters
    ----------
    run : Run
    radius : float or `~astropy.units.Quantity`
    """
    on_sky = common_positions(run.catalog, run.catalog)[0].on_sky
    return matching_lengths(radius, None, run.field.image, on_sky=on_sky)[0]


def cross_match(catalogs: Sequence[QTable], radius: Any) -> np.ndarray:
    """Which rows of several catalogues are one object.

    Each catalogue is matched one to one with all objects so far, which stay where the first
    catalogue that has them saw them; what has no partner becomes an object of its own.

    Parameters
    ----------
    catalogs : sequence of `~astropy.table.QTable`
        Of one image.
    radius : `~astropy.units.Quantity`

    Returns
    -------
    2-D `~numpy.ndarray` of int, shape (objects, catalogues)
        Row of the object in each catalogue, -1 where it isn't.
    """
    members = np.full((0, len(catalogs)), -1)
    objects = None
    for number, catalog in enumerate(catalogs):
        places = QTable({name: catalog[name] for name in _PLACES if name in catalog.colnames})
        new = np.arange(len(catalog))
        if objects is not None and len(objects) and len(catalog):
            matches = match_sources(places, objects, radius)
            members[matches.truth, number] = matches.found
            new = np.setdiff1d(new, matches.found)
        rows = np.full((len(new), len(catalogs)), -1)
        rows[:, number] = new
        members = np.concatenate([members, rows])
        objects = places[new] if objects is None else vstack([objects, places[new]], metadata_conflicts="silent")
    return members


def objects_table(comparison: Comparison) -> Table:
    """One row an object: how many finders have it, and its label in each one's label image (0: not found).

    Parameters
    ----------
    comparison : Comparison
    """
    rows: list[dict[str, Any]] = []
    for runs, members in _matched(comparison):
        for row in members:
            first = int(np.flatnonzero(row >= 0)[0])
            source = runs[first].catalog[row[first]]
            places = {
                name: float(getattr(source[name], "value", source[name])) for name in _PLACES if name in source.colnames
            }
            labels = {
                run.backend.label: int(run.catalog["label"][index]) if index >= 0 else 0
                for run, index in zip(runs, row, strict=True)
            }
            name = runs[0].field.image.meta["name"]
            rows.append({"image": name, "n_finders": int(np.sum(row >= 0)), **places, **labels})
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["image", "n_finders"]
    return Table({name: [row.get(name, 0) for row in rows] for name in names})


def consensus_table(comparison: Comparison) -> Table:
    """How many detections of each finder were found by how many of the others too, over all images.

    ``residual`` is the standard deviation of the pixels outside the finder's labels, in units of the image's noise
    (median absolute deviation): what lies above 1 is flux that the finder left, or the noise's tail.

    Parameters
    ----------
    comparison : Comparison
    """
    counts = {backend.label: np.zeros(len(comparison.backends), dtype=int) for backend in comparison.backends}
    for runs, members in _matched(comparison):
        others = np.sum(members >= 0, axis=1) - 1
        for number, run in enumerate(runs):
            there = others[members[:, number] >= 0]
            counts[run.backend.label] += np.bincount(there, minlength=len(comparison.backends))
    rows = []
    for backend in comparison.backends:
        own, runs = counts[backend.label], comparison.runs_of(backend)
        total = int(own.sum())
        rows.append({
            "backend": backend.label,
            "n_found": total,
            "confirmed": float(own[1:].sum() / total) if total else math.nan,
            "alone": int(own[0]),
            "residual": float(np.mean([_residual(run) for run in runs])) if runs else math.nan,
            "seconds": sum(run.seconds for run in runs),
            "memory": max((run.memory for run in runs), default=math.nan),
            **{f"others_{number}": int(count) for number, count in enumerate(own)},
        })  # fmt: skip
    return Table(rows)


def _residual(run) -> float:
    image, valid = run.field.image.data, run.field.valid
    values = image[valid]
    noise = 1.4826 * np.median(np.abs(values - np.median(values)))
    left = image[valid & (np.asarray(run.detections.labels) == 0)]
    return float(np.std(left) / noise) if noise > 0 and left.size else math.nan


def agreement_of_pairs(comparison: Comparison) -> Table:
    """For each two finders: how many sources they share, and the ratio of fluxes and distance between positions.

    Parameters
    ----------
    comparison : Comparison
    """
    rows = []
    for field in comparison.fields:
        runs = [run for run in comparison.runs if run.field is field and run.detections is not None]
        for first, second in combinations(runs, 2):
            rows.append(_pair(first, second, comparison.radius))
    return Table(rows or None, names=None if rows else ["image", "first", "second"])


def _pair(first, second, radius) -> dict[str, Any]:
    tables = first.catalog, second.catalog
    row = {"image": first.field.image.meta["name"], "first": first.backend.label, "second": second.backend.label}
    unknown = dict.fromkeys(("flux_ratio", "flux_scatter", "separation"), math.nan) | {"unit": ""}
    if not all(len(table) for table in tables):
        return row | {"n_both": 0} | unknown
    matches = match_sources(*tables, matching_radius(first, radius))
    agreement = measure_agreement(*tables, matches, common_positions(*tables))
    flux, distance = agreement["flux_ratio"], agreement["separation"]
    values = {"flux_ratio": flux.median, "flux_scatter": flux.mad, "separation": distance.median, "unit": distance.unit}
    return row | {"n_both": len(matches)} | values


def _matched(comparison: Comparison) -> list[tuple[list[Run], np.ndarray]]:
    """For each image, the runs that gave something, and their objects."""
    result = []
    for field in comparison.fields:
        runs = [run for run in comparison.runs if run.field is field and run.detections is not None]
        filled = next((run for run in runs if len(run.catalog)), None)
        if filled is not None:
            catalogs = [run.catalog for run in runs]
            result.append((runs, cross_match(catalogs, matching_radius(filled, comparison.radius))))
    return result
