"""One HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np
from astropy.table import Table
from jinja2 import Environment, StrictUndefined

from astroseg import __version__
from astroseg.compare import Backend, Comparison, Field
from astroseg.errors import UsageError
from astroseg.evaluate import compare_estimates
from astroseg.image import checksum
from astroseg.plugins import package_of
from astroseg.report.consensus import agreement_of_pairs, consensus_table
from astroseg.report.gallery import Cutout
from astroseg.report.ranking import ALL, SHOWN, pooled_scores

__all__ = ["render_page"]

CAPTIONS = {
    "completeness": "Completeness: share of the true sources that were found, by their true S/N.",
    "reliability": "Reliability: share of the detections that are true, by their measured S/N.",
    "purity_completeness": "Reliability against completeness along the finder's own score; marker: the finder as run.",
    "flux_ratio": "Measured over true flux: median and the middle 68 % of the matched sources.",
    "position_error": "Distance from the true position: median and the middle 68 % of the matched sources.",
    "pixels": "Scores of the pixels, with 95 % intervals.",
    "consensus": "Detections of each finder, by how many of the others have them too.",
    "seconds": "Time per million pixels; a marker an image.",
    "memory": "Peak memory above that at the start of a run, per pixel; a marker an image.",
}
TITLES = {
    "found": "Found",
    "missed": "Missed",
    "false": "False",
    "shared": "Found by all",
    "alone": "Found by no other",
}


def render_page(comparison: Comparison, scores: Table, figures: Mapping[str, bytes], gallery: Iterable[Cutout]) -> str:
    """Fill the template; every text that came from a file or a user is escaped there.

    Parameters
    ----------
    comparison : Comparison
    scores : `~astropy.table.Table`
        From `~astroseg.report.ranking.score_table`.
    figures : dict of bytes
        SVG by name.
    gallery : iterable of Cutout
    """
    unknown = {f"{name}{end}": float("nan") for name in SHOWN for end in ("", "_low", "_high")}
    rows = [unknown | _plain(row) for row in scores]
    single = [row for row in rows if row["image"] != ALL]
    names = [field.image.meta["name"] for field in comparison.fields]
    context: dict[str, Any] = {
        "version": __version__,
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "has_truth": comparison.has_truth,
        "backends": comparison.backends,
        "fields": comparison.fields,
        "failures": comparison.failures,
        "n_runs": len(comparison.runs),
        "radius": scores.meta["match_radius"],
        "shown": {name: head for name, head in SHOWN.items() if any(np.isfinite(row[name]) for row in rows)},
        "overall": [row for row in rows if row["image"] == ALL],
        "by_image": [{"name": name, "rows": [row for row in single if row["image"] == name]} for name in names],
        "verdict": _verdict(comparison, scores),
        "consensus": [] if comparison.has_truth else [_plain(row) for row in consensus_table(comparison)],
        "pairs": [] if comparison.has_truth else [_plain(row) for row in agreement_of_pairs(comparison)],
        "figures": [
            {"name": name, "caption": CAPTIONS[name], "uri": _uri(svg, "svg+xml")} for name, svg in figures.items()
        ],
        "gallery": _gallery(gallery),
        "inputs": [_input(field) for field in comparison.fields],
        "finders": [_finder(comparison, backend) for backend in comparison.backends],
    }
    text = (files("astroseg.report") / "page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(text).render(context)


def _plain(row) -> dict[str, Any]:
    return {name: row[name].item() if isinstance(row[name], np.generic) else row[name] for name in row.colnames}


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _verdict(comparison, scores) -> str:
    """Whether the first finder is better than the second, or chance may have put it there."""
    labels = [str(row["backend"]) for row in scores if row["image"] == ALL]
    if not comparison.has_truth or len(labels) < 2:
        return ""
    backends = {backend.label: backend for backend in comparison.backends}
    pooled = [pooled_scores(comparison.runs_of(backends[label])).get("f1") for label in labels[:2]]
    if pooled[0] is None or pooled[1] is None:
        return ""
    try:
        difference, better = compare_estimates(pooled[0], pooled[1])
    except UsageError:  # one of them failed on some image
        return ""
    return (
        f"On the same resampled skies the F1 of {labels[0]} is higher than that of {labels[1]} by "
        f"{difference.value:.3f} ({difference.low:.3f} to {difference.high:.3f}), "
        f"and higher at all on {100 * better:.0f} % of them."
    )


def _gallery(gallery: Iterable[Cutout]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "kinds": [
                {
                    "title": TITLES.get(kind, kind),
                    "cutouts": [{"caption": cutout.caption, "uri": _uri(cutout.png, "png")} for cutout in cutouts],
                }
                for kind, cutouts in groupby(of_finder, key=lambda cutout: cutout.kind)
            ],
        }
        for label, of_finder in groupby(gallery, key=lambda cutout: cutout.backend)
    ]


def _input(field: Field) -> dict[str, Any]:
    image, truth = field.image, field.truth
    return {
        "name": image.meta["name"],
        "size": " x ".join(map(str, reversed(image.shape))),
        "unit": image.unit.to_string(),
        "beam": str(image.meta.get("beam") or "unknown"),
        "truth": "none" if truth is None else truth.catalog.meta.get("truth", "given as a table"),
        "n_truth": "" if truth is None else len(truth),
        "sha256": checksum(image),
    }


def _finder(comparison: Comparison, backend: Backend) -> dict[str, Any]:
    package, version = package_of(type(backend.finder))
    return {
        "label": backend.label,
        "package": package,
        "version": version,
        "citation": backend.finder.citation,
        "parameters": backend.finder.get_params(),
        "resumed": sum(run.resumed for run in comparison.runs_of(backend)),
    }
