"""``astroseg find``."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from astroseg.errors import AstrosegWarning, UsageError

PARTLY = 3


@click.command("find")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--backend", "-b", required=True, metavar="NAME[:key=value,...]", help="The finder; see 'astroseg backends'."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the finder; may be repeated.")
@click.option("--output", "-o", "folder", default=".", metavar="DIR", help="Where the files go. Default: here.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--format", "formats", default="ecsv", metavar="LIST", help="Of the catalogue: ecsv, votable, fits, csv.")
@click.option(
    "--regions",
    type=click.Choice(["ellipse", "polygon", "box"]),
    default="ellipse",
    show_default=True,
    help="What the DS9 region file holds.",
)
@click.option("--hdu", metavar="N|NAME", help="FITS extension. Default: the first image.")
@click.option("--plane", metavar="N[,N]", help="0-based index along each axis that is neither sky nor of length 1.")
@click.option("--unit", metavar="UNIT", help="Overrules the unit of the header, e.g. Jy/beam.")
@click.option("--beam", metavar="MAJ,MIN,PA", help="Overrules the beam of the header; arcsec, arcsec, deg.")
@click.option("--mask", metavar="FILE", help="Pixels that are not 0 there are blank.")
@click.option("--keep-zeros", is_flag=True, help="Large areas of exact zeros are data, not blank.")
@click.option("--background", metavar="mesh|constant|none|FILE", help="Default: what suits the finder, mostly mesh.")
@click.option("--noise", metavar="mesh|constant|FILE", help="Default: as the background.")
@click.option("--mesh", type=int, metavar="N", help="Side of a mesh cell in pixels. Default: 20 beams.")
@click.option("--measure-on", metavar="FILE", help="Measure on this image of the same grid.")
@click.option("--probability", is_flag=True, help="Write the probability map too.")
@click.option("--preview", is_flag=True, help="Write a PNG with the detections drawn over the image.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    images: tuple[str, ...], backend: str, settings: tuple[str, ...], folder: str, formats: str, **options: Any
) -> int:
    """Find the sources of each IMAGE and write catalogue, DS9 regions and label image.

    \b
    Files: STEM.BACKEND.ecsv, .reg, .labels.fits, and on request
    .probability.fits and .png. Exit status: 0 done (nothing found included),
    1 bad input, 2 wrong usage, 3 some images failed, 130 interrupted.

    \b
    Examples:
      astroseg find image.fits --backend sigma --preview
      astroseg find *.fits --backend bdsf:preset=tuned --output results
      astroseg find image.fits --backend sigma --set threshold=4 --beam 6,5,30
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.cli import explain
    from astroseg.plugins import load_class

    name, choices = parse_backend(backend, settings)
    load_class(name, "finder").from_text(choices).validate()
    job = {"name": name, "choices": choices, "folder": Path(folder), "formats": parse_formats(formats), **options}
    _refuse_same_stems(images)
    failed = 0
    for path in _progress(images, quiet=options["quiet"]):
        try:
            _one(path, **job)
        except Exception as error:
            if options["debug"]:
                raise
            message, status = explain(error)
            if len(images) == 1 or status == UsageError.exit_status:
                raise
            click.echo(f"astroseg: {path}: {message}", err=True)
            failed += 1
    if failed:
        click.echo(f"astroseg: {failed} of {len(images)} images failed.", err=True)
    return 0 if not failed else 1 if failed == len(images) else PARTLY


def parse_backend(backend: str, settings: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """Split ``NAME:key=value,key=value``, and add the texts of ``--set``."""
    name, _, inline = backend.partition(":")
    pairs = [*filter(None, inline.split(",")), *settings]
    for pair in pairs:
        if "=" not in pair:
            msg = f"Cannot read the option '{pair}'. Write key=value, for example threshold=5."
            raise UsageError(msg)
    return name, {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}


def parse_formats(text: str) -> list[str]:
    """Split a list of formats and check it."""
    from astroseg.output import output_paths

    formats = [part.strip() for part in text.split(",") if part.strip()] or ["ecsv"]
    output_paths(".", "x", "x", formats=formats)
    return formats


def _refuse_same_stems(images) -> None:
    from astroseg.output import stem_of

    twice = [stem for stem, count in Counter(map(stem_of, images)).items() if count > 1]
    if twice:
        msg = f"Several images would write {twice[0]}.*: run them with different --output folders."
        raise UsageError(msg)


def _one(
    path: str,
    *,
    name: str,
    choices: dict[str, str],
    folder: Path,
    formats: list[str],
    overwrite: bool,
    regions: str,
    probability: bool,
    preview: bool,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Find, write and report one image."""
    from astroseg.api import find
    from astroseg.output import output_paths, refuse_existing, stem_of, write_detections
    from astroseg.plugins import load_class

    start = time.perf_counter()
    finder = load_class(name, "finder").from_text(choices)
    if probability and not getattr(finder, "is_probability", True):
        msg = f"The finder '{name}' gives no probability, only a threshold; leave --probability out."
        raise UsageError(msg)
    if not overwrite:
        refuse_existing(
            output_paths(folder, stem_of(path), name, formats=formats, probability=probability, preview=preview)
        )
    with _notes(quiet=quiet, debug=debug):
        given = {key: value for key, value in options.items() if value is not None and value is not False}
        detections = find(path, finder, **given)
        files = write_detections(
            detections,
            folder,
            stem=stem_of(path),
            formats=formats,
            regions=regions,
            probability=probability,
            preview=preview,
            overwrite=overwrite,
        )
    if not quiet:
        with contextlib.suppress(BrokenPipeError):  # nobody reads this any more; the other images are still wanted
            click.echo(summary(detections, files, time.perf_counter() - start))


def summary(detections: Any, files: list[Path], seconds: float) -> str:
    """What was found, with which noise and beam, how long it took, and where it is."""
    meta = detections.catalog.meta
    number = len(detections)
    rms = meta.get("median_rms")
    facts = [
        f"noise {rms:.3g} {meta['image_unit']}".rstrip() if rms else "",
        f"beam {meta['beam']}" if meta.get("beam") else "no beam",
        f"{seconds:.1f} s",
    ]
    name = meta.get("measured_on") or meta["image"]
    lines = [
        f"{name}: {number:,} source{'' if number == 1 else 's'} by {meta['backend']}",
        "  " + "; ".join(filter(None, facts)),
        "  " + "  ".join(map(click.format_filename, files)),
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def _notes(*, quiet: bool, debug: bool) -> Iterator[None]:
    """Print each of our warnings as one line."""
    said = set()

    def show(message, category, filename, lineno, file=None, line=None):  # noqa: ARG001 - set by warnings
        text = " ".join(str(message).split())
        if not quiet and text not in said:
            said.add(text)
            click.echo(f"note: {text}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always" if debug else "ignore")
        warnings.simplefilter("always", AstrosegWarning)
        warnings.showwarning = show
        yield


def _progress(images: tuple[str, ...], *, quiet: bool) -> Iterator[str]:
    """The images, with a progress bar where somebody watches."""
    if quiet or not sys.stderr.isatty():
        yield from images
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    if len(images) > 1:
        columns[2:2] = [BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(images))
        for path in images:
            progress.update(task, description=Path(path).name)
            yield path
            progress.advance(task)
