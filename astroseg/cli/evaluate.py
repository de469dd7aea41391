"""``astroseg evaluate``."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import click

from astroseg.cli.find import image_options, notes
from astroseg.errors import UsageError


@click.command("evaluate")
@click.argument("detections", nargs=-1, required=True, metavar="DETECTIONS...")
@click.option("--truth", required=True, metavar="FILE", help="Truth catalogue, outlines or label image.")
@click.option("--truth-format", metavar="NAME", help="By default told from the content.")
@click.option("--columns", metavar="KEY=NAME,...", help="Columns of a truth table, e.g. ra=RAJ2000,flux=S[mJy].")
@click.option("--image", metavar="FILE", help="Default: the one that the catalogue names.")
@image_options
@click.option("--labels", metavar="FILE", help="Default: the label image beside the catalogue.")
@click.option("--match-radius", default=0.5, show_default=True, metavar="BEAMS", help="Largest separation of a match.")
@click.option("--sdc1", is_flag=True, help="Give the score of the SKA Science Data Challenge 1 too.")
@click.option("--primary-beam", metavar="FILE", help="Map by which the fluxes of the truth are attenuated.")
@click.option("--output", "-o", "folder", metavar="DIR", help="Write STEM.scores.ecsv there.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--json", "json_file", metavar="FILE", help="Write all scores as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    detections: tuple[str, ...],
    truth: str,
    columns: str | None,
    folder: str | None,
    overwrite: bool,  # noqa: FBT001 - click passes it
    json_file: str | None,
    quiet: bool,  # noqa: FBT001 - click passes it
    debug: bool,  # noqa: FBT001 - click passes it
    **options: Any,
) -> None:
    """Compare each list of DETECTIONS with the truth, source by source and pixel by pixel.

    DETECTIONS may be astroseg's catalogues or anybody's lists (PyBDSF, Aegean, Selavy, SExtractor, ...).

    \b
    Completeness counts truth of S/N >= 5 (and 3 beside it); a detection that
    matches any truth of S/N >= 2 is not false. The null rate is the share of
    detections that still match when the list is shifted: chance.
    The image is read as the catalogue says that it was; its noise, which the
    S/N of the truth refers to, is measured as --background, --noise and
    --mesh say.

    \b
    Examples:
      astroseg evaluate field.sigma.ecsv --truth field.truth.ecsv
      astroseg evaluate *.ecsv --truth truth.csv --columns ra=RAJ2000,dec=DEJ2000
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.evaluate.files import evaluate_files
    from astroseg.output import refuse_existing, write_all

    if options["match_radius"] <= 0:
        msg = f"The match radius must be positive, not {options['match_radius']:g}."
        raise UsageError(msg)
    targets = {}
    if folder is not None:
        targets = {name: Path(folder) / f"{Path(name).name}.scores.ecsv" for name in detections}
    files = {"json": Path(json_file)} if json_file else {}
    if not overwrite:
        refuse_existing({**targets, **files})
    with notes(quiet=quiet, debug=debug):
        results = {
            name: evaluate_files(name, truth, columns=_pairs(columns), **options) for name in dict.fromkeys(detections)
        }
    if not quiet:
        for result in results.values():
            _show(result)
    jobs: dict[Path, Any] = {path: partial(_write_table, results[name].to_table()) for name, path in targets.items()}
    if json_file:
        named = {Path(name).name: result.to_dict() for name, result in results.items()}
        content = next(iter(named.values())) if len(named) == 1 else named
        jobs[Path(json_file)] = partial(_write_text, json.dumps(content, indent=2))
    if jobs:
        write_all(jobs)


def _pairs(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(not sign for _, sign, _ in pairs):
        msg = f"Cannot read the columns '{text}'. Write KEY=NAME,..., for example ra=RAJ2000,dec=DEJ2000."
        raise UsageError(msg)
    return {key.strip(): name.strip() for key, _, name in pairs}


def _write_table(table: Any, path: Path) -> None:
    table.write(path, format="ascii.ecsv", overwrite=True)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _show(result: Any) -> None:
    """The scores that matter, with their intervals."""
    sources = result.sources
    click.echo(f"{result.name}: {sources.counts.tp} found, {sources.counts.fn} missed, {sources.counts.fp} false")
    for name, score in sources.scores.items():
        click.echo(f"  {name:22} {score.value:7.3f}  ({score.low:.3f} to {score.high:.3f})")
    for name, item in sources.agreement.items():
        click.echo(f"  {name:22} median {item.median:.4g}, scatter {item.mad:.3g} {item.unit}")
    if result.pixels is not None:
        for name in ("f1", "iou", "precision", "recall", "average_precision", "panoptic_quality"):
            score = result.pixels.scores[name]
            if math.isfinite(score.value):
                click.echo(f"  pixels: {name:17} {score.value:7.3f}  ({score.low:.3f} to {score.high:.3f})")
    if result.sdc1 is not None:
        sdc1 = result.sdc1
        click.echo(
            f"  SDC1 score {sdc1.score:.1f}: {sdc1.n_det} detections, {sdc1.n_match} matched, {sdc1.n_false} false, "
            f"null rate {sdc1.null_rate:.1%}"
        )
    click.echo(f"  ({', '.join(f'{key} {value}' for key, value in sources.options.items() if value is not None)})")
