"""Finders on skies with truth: one table of scores, the best setting of those that are swept.

The groups of fields are those of skies.py, whose simulated skies are small enough for 20 settings of PyBDSF on each.

Scores are those of `astroseg.evaluate`, pooled over the fields of a group, with 95 % intervals from a bootstrap over
blocks of sky. "Best" is the setting of best F1 over the group, chosen on these fields, so an upper limit; completeness
at 95 % reliability is the best over the sweep (the note says of which setting), each field cut at its own score. SDC1,
null rate, Dice and time are of the setting of best F1. Time is the median over the fields, PyBDSF on one core, other
work beside it: "x tuned", its ratio to PyBDSF tuned, is worth more. The SDC1 score needs a truth list of SDC1.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/scores.py DIR [--groups west sparse] [--backends LIST]
[--sweep NAME:key=value/value] [--only ROW ...] [--against "bdsf tuned"] [--markdown]

Simulated fields stay in DIR/fields, runs in DIR/detections, scores in DIR/scores (delete those to score again).
Another finder is added with ``--backends unet`` or ``--sweep unet:threshold=0.3/0.5``, another group in skies.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from skies import GROUPS, Sky, make_skies

from astroseg.compare import Backend, compare, parse_backends
from astroseg.errors import AstrosegWarning
from astroseg.evaluate import Estimate, compare_estimates, evaluate_pixels, evaluate_sources
from astroseg.evaluate.sdc1 import sdc1_score
from astroseg.evaluate.sdc1_list import sdc1_list
from astroseg.report.ranking import pooled_scores
from astroseg.report.sweep import parse_grid

LEVELS = "2.5/3/3.5/4/4.5/5/6/7/8/10"
TUNED = "bdsf tuned"
# Islands above a level that is higher than thresh_pix hold a pixel above it anyway, so that thresh_isl 4 with
# thresh_pix 3 or 3.5 is thresh_isl 4 with 4; the other twenty combinations are run.
BDSF = [
    f"bdsf:ncores=1,thresh_isl={island},thresh_pix={pixel}{least}"
    for least in (",minpix_isl=3", "")
    for island, pixel in (("2.5/3", "3/3.5/4/5"), ("4", "4/5"))
]
#: Row of the table -> finders and grids of them. PyBDSF's own thresholds are 3 and 5.
ROWS = {
    **{name: [name] for name in ("yen", "otsu", "triangle", "sep")},
    "sigma, best k": [f"sigma:threshold={LEVELS}"],
    "peaks, best k": [f"peaks:threshold={LEVELS}"],
    "bdsf default": ["bdsf:ncores=1,thresh_isl=3,thresh_pix=5"],
    TUNED: ["bdsf:ncores=1,thresh_isl=2.5,thresh_pix=3,minpix_isl=3"],
    "bdsf, best of sweep": BDSF,
}


@cache
def skies_of(group: str, folder: Path) -> tuple[list[Sky], str]:
    """The fields, and a name for them that differs where their truth does."""
    skies = make_skies(group, folder / "fields")
    truths = [np.stack([sky.field.truth.catalog[name].value for name in ("x_centroid", "y_centroid")]) for sky in skies]
    return skies, f"{group}-{zlib.crc32(np.hstack(truths).tobytes()):08x}"


def scores_of(group: str, backend: Backend, folder: Path) -> dict[str, Estimate] | None:
    """Scores of a finder over a group, made now or earlier; None where it failed on a field."""
    skies, name = skies_of(group, folder)
    kept = folder / "scores" / f"{name}.{_key(backend)}.npz"
    if not kept.exists():
        scores = _score(skies, backend, folder)
        if scores is None:
            return None
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **{name: [s.value, s.low, s.high, *s.samples] for name, s in scores.items()})
    with np.load(kept) as arrays:
        return {name: Estimate(*map(float, a[:3]), a[3:], (group, name)) for name, a in arrays.items()}


def _key(backend):
    """Tells finders, settings and weights apart."""
    identity = backend.finder.identity()
    return f"{backend.key}.{zlib.crc32(json.dumps(identity).encode()):08x}" if identity else backend.key


def _score(skies, backend, folder):
    runs = compare([sky.field.image for sky in skies], [backend], folder, tell=_say).runs
    if any(run.detections is None for run in runs):
        return None
    runs = [_scored(run, sky) for run, sky in zip(runs, skies, strict=True)]
    scores = pooled_scores(runs)
    if skies[0].sdc1 is not None:
        official, beam = skies[0].sdc1
        scores["sdc1"] = sdc1_score(sdc1_list(runs[0].catalog, beam), official).estimate()
    seconds = [run.seconds for run in runs]
    return scores | {"seconds": Estimate(float(np.median(seconds)), min(seconds), max(seconds))}


def _scored(run, sky):
    truth, catalog, margin = sky.field.truth, run.catalog, sky.margin
    ny, nx = sky.field.image.shape
    x, y = catalog["x_centroid"].value, catalog["y_centroid"].value
    inside = (np.minimum(x, y) >= margin) & (x < nx - margin) & (y < ny - margin) | (margin == 0)
    valid = np.zeros((ny, nx), dtype=bool)
    valid[margin : ny - margin, margin : nx - margin] = True
    return replace(
        run,
        field=sky.field,
        sources=evaluate_sources(catalog[inside], truth.catalog, image=sky.field.image),
        pixels=evaluate_pixels(truth.labels, run.detections.labels, valid=valid & sky.field.valid),
    )


def _say(run) -> None:
    what = run.error or f"{len(run.detections)} found, {run.seconds:.2f} s{', earlier' * run.resumed}"
    print(f"{run.field.stem}: {run.backend.label}: {what}", file=sys.stderr, flush=True)


def best_of(group: str, backends: list[Backend], folder: Path) -> dict[str, Any] | None:
    """The scores at the best F1, with the best completeness at 95 % reliability and the settings of both."""
    tried = [(backend.label, scores) for backend in backends if (scores := scores_of(group, backend, folder))]
    if not tried:
        return None
    setting, scores = max(tried, key=lambda item: item[1]["f1"].value)
    other, complete = max(tried, key=lambda item: (item[1]["completeness_at_95"].value, item[0] == setting))
    best = {**scores, "completeness_at_95": complete["completeness_at_95"]}
    return {"scores": best, "setting": _options(setting), "other": "" if other == setting else _options(other)}


def _options(label):
    """The text of the options, as short as a table wants it."""
    text = label.partition(":")[2].removeprefix("ncores=1,").replace(",", ", ")
    for long, brief in {"thresh_isl": "isl", "thresh_pix": "pix", "minpix_isl": "min", "threshold": "k"}.items():
        text = text.replace(f"{long}=", f"{brief} ")
    return text


def lines_of(group: str, rows: dict[str, list[Backend]], folder: Path, against: str | None) -> list[list[str]]:
    """The lines of one group, the best F1 first."""
    best = {name: best_of(group, backends, folder) for name, backends in rows.items()}
    failed = [[group, name, "failed"] for name, row in best.items() if row is None]
    done = {name: row for name, row in best.items() if row is not None}
    order = sorted(done, key=lambda name: -done[name]["scores"]["f1"].value)
    return [[group, name, *_cells(done[name], done.get(TUNED), done.get(against))] for name in order] + failed


def _cells(row, tuned, reference):
    scores, note = row["scores"], f" ({row['other']})" if row["other"] else ""
    seconds = scores["seconds"].value
    cells = [row["setting"], _text(scores["f1"]), _text(scores["completeness_at_95"]) + note]
    cells += [_text(scores.get("sdc1"), 0), _text(scores["null_rate"]), _text(scores["pixel_f1"]), f"{seconds:.2f}"]
    cells.append("" if tuned is None else f"{seconds / tuned['scores']['seconds'].value:.3f}")
    for score in ("f1", "completeness_at_95") if reference else ():
        difference, better = compare_estimates(scores[score], reference["scores"][score])
        cells.append(f"{_text(difference, sign='+')} p {better:.3f}")
    return cells


def _text(score, digits=3, sign=""):
    if score is None:
        return "n/a"
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]"


def show(lines: list[list[str]], *, markdown: bool) -> None:
    """Print a table with aligned columns, the first line its header."""
    lines = [[*line, *[""] * (len(lines[0]) - len(line))] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    if markdown:
        texts = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
        texts.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    print("\n".join(texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="results, and what is resumed")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="default: all")
    parser.add_argument("--backends", default="", metavar="LIST", help="more finders: NAME[:key=value,...],...")
    parser.add_argument("--sweep", action="append", default=[], metavar="NAME:key=value/value", help="more sweeps")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="of the usual rows, only these")
    parser.add_argument("--against", metavar="ROW", help="paired differences from this row")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstrosegWarning)
    rows = {
        name: [backend for text in texts for backend in (parse_grid(text) if "/" in text else parse_backends(text))]
        for name, texts in ROWS.items()
        if options.only is None or name in options.only
    }
    rows |= {backend.label: [backend] for backend in (parse_backends(options.backends) if options.backends else [])}
    rows |= {f"{text.partition(':')[0]}, best of sweep": parse_grid(text) for text in options.sweep}
    if options.against not in (None, *rows):
        parser.error(f"--against takes one of the rows: {', '.join(rows)}.")
    names = ["fields", "finder", "best F1 at", "F1", "compl. at 95 % rel.", "SDC1", "null rate", "Dice", "s", "x tuned"]
    names += [f"{score} less {options.against}" for score in ("F1", "compl.")] if options.against else []
    lines = [line for group in options.groups for line in lines_of(group, rows, options.folder, options.against)]
    show([names, *lines], markdown=options.markdown)


if __name__ == "__main__":
    main()
