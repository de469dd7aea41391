"""``astroseg find``."""

from __future__ import annotations

import contextlib
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from astroseg.errors import AstrosegWarning, UsageError

PARTLY = 3
_READING = (
    click.option("--hdu", metavar="N|NAME", help="FITS extension. Default: the first image."),
    click.option("--plane", metavar="N[,N]", help="0-based index along each axis that is neither sky nor of length 1."),
    click.option("--unit", metavar="UNIT", help="Overrules the unit of the header, e.g. Jy/beam."),
    click.option("--beam", metavar="MAJ,MIN,PA", help="Overrules the beam of the header; arcsec, arcsec, deg."),
    click.option("--mask", metavar="FILE", help="Pixels that are not 0 there are blank."),
    click.option("--keep-zeros", is_flag=True, help="Large areas of exact zeros are data, not blank."),
)
_MEASURING = (
    click.option(
        "--background", metavar="mesh|constant|none|FILE", help="Default: what suits the finder, mostly mesh."
    ),
    click.option("--noise", metavar="mesh|constant|FILE", help="Default: as the background."),
    click.option("--mesh", type=int, metavar="N", help="Side of a mesh cell in pixels. Default: 20 beams."),
)


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to read an image, and how to measure its background and noise."""
    for option in reversed((*_READING, *_MEASURING)):
        command = option(command)
    return command


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to read an image."""
    for option in reversed(_READING):
        command = option(command)
    return command


@click.command("find")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--backend", "-b", required=True, metavar="NAME[:key=value,...]", help="The finder; see 'astroseg backends'."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the finder; may be repeated.")
@click.option("--device", metavar="auto|cpu|cuda[:N]", help="Short for --set device=...")
@click.option("--weights", metavar="FILE|NAME", help="Short for --set weights=...")
@click.option("--output", "-o", "folder", default=".", metavar="DIR", help="Where the files go. Default: here.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option(
    "--format", "formats", default="ecsv", metavar="LIST", help="Of the catalogue: ecsv, votable, fits, parquet, csv."
)
@click.option(
    "--regions",
    type=click.Choice(["ellipse", "polygon", "box", "none"]),
    default="ellipse",
    show_default=True,
    help="What the DS9 region file holds.",
)
@click.option(
    "--maps",
    type=click.Choice(["fits", "zarr"]),
    default="fits",
    show_default=True,
    help="Format of labels and probability.",
)
@image_options
@click.option(
    "--reliability", type=float, metavar="R", help="Choose the threshold so that this share is real, e.g. 0.95."
)
@click.option("--measure-on", metavar="FILE", help="Measure on this image of the same grid.")
@click.option("--points", metavar="FILE", help="Points, boxes or polygons of the objects, for finders that take them.")
@click.option(
    "--channel", "channels", multiple=True, metavar="FILE", help="Another image on the same grid; may be repeated."
)
@click.option("--psf", metavar="FILE", help="Point spread function, for finders that restore the image first.")
@click.option("--visibilities", metavar="FILE", help="What the image was made of, for finders that restore it first.")
@click.option("--probability", is_flag=True, help="Write the probability map too.")
@click.option("--preview", is_flag=True, help="Write a PNG with the detections drawn over the image.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes that search the tiles.")
@click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster that searches the tiles.")
@click.option("--tile", "tile_size", type=click.IntRange(64), metavar="N", help="Side of the tiles in pixels.")
@click.option("--timeout", type=float, metavar="SECONDS", help="A worker that takes longer for a tile is ended.")
@click.option("--fresh", is_flag=True, help="Start over, where an interrupted run would be gone on with.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    images: tuple[str, ...],
    backend: str,
    settings: tuple[str, ...],
    device: str | None,
    weights: str | None,
    folder: str,
    formats: str,
    workers: int | None,
    dask: str | None,
    timeout: float | None,
    **options: Any,
) -> int:
    """Find the sources of each IMAGE and write catalogue, DS9 regions and label image.

    \b
    Files: STEM.BACKEND.ecsv, .reg, .labels.fits, and on request
    .probability.fits and .png. Exit status: 0 done (nothing found included),
    1 bad input, 2 wrong usage, 3 some images, or parts of one, failed,
    130 interrupted. The same command again goes on where it was interrupted.

    \b
    Examples:
      astroseg find image.fits --backend sigma --preview
      astroseg find *.fits --backend bdsf:preset=tuned --output results
      astroseg find image.fits --backend sigma --set threshold=4 --beam 6,5,30
      astroseg find image.fits --backend sigma --reliability 0.95
      astroseg find image.fits --backend unet --weights own.onnx --device cuda
      astroseg find mosaic.fits --backend sigma --workers 8 --format fits
      astroseg find sun.fits --backend dextr --points points.reg --channel 171.fits
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.plugins import load_class

    name, choices = parse_backend(backend, settings)
    choices |= {key: value for key, value in (("device", device), ("weights", weights)) if value is not None}
    load_class(name, "finder").from_text(choices).validate()
    job = {"name": name, "choices": choices, "folder": Path(folder), "formats": parse_formats(formats), **options}
    _refuse_same_stems(images)
    with _pool(workers, dask, timeout, device) as executor:
        statuses = [
            _tried(path, number, len(images), executor=executor, **job) for number, path in enumerate(images, start=1)
        ]
    failed = statuses.count(1)
    if failed:
        click.echo(f"astroseg: {failed} of {len(images)} images failed.", err=True)
    return 1 if failed == len(images) else PARTLY if any(statuses) else 0


def _tried(path: str, number: int, total: int, *, debug: bool, **job: Any) -> int:
    """Exit status of one image; what is wrong with one of several does not keep the others from being searched."""
    from astroseg.cli import explain

    try:
        return _one(path, place=(number, total), debug=debug, **job)
    except Exception as error:
        if debug:
            raise
        message, status = explain(error)
        if total == 1 or status == UsageError.exit_status:
            raise
        click.echo(f"astroseg: {path}: {message}", err=True)
        return 1


def _pool(
    workers: int | None, dask: str | None, timeout: float | None, device: str | None
) -> contextlib.AbstractContextManager[Any]:
    """What searches the tiles of all images."""
    from astroseg.workers import TIMEOUT, DaskPool, WorkerPool, visible_gpus

    if workers and dask:
        msg = "Give --workers or --dask, not both."
        raise UsageError(msg)
    if dask:
        return DaskPool(dask)
    gpus = visible_gpus() if device == "cuda" else []
    if not workers and len(gpus) < 2:
        return contextlib.nullcontext()
    workers = workers or len(gpus)
    environments = [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {} for number in range(workers)]
    return WorkerPool(workers, timeout=timeout or TIMEOUT, environments=environments)


def parse_backend(backend: str, settings: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """Split ``NAME:key=value,key=value``, and add the texts of ``--set``."""
    name, _, inline = backend.partition(":")
    pairs: list[str] = []
    for part in filter(None, inline.split(",")):
        if "=" in part or not pairs:
            pairs.append(part)
        else:  # a value with commas of its own, rms_box=60,20
            pairs[-1] += f",{part}"
    return name, parse_pairs((*pairs, *settings))


def parse_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split each ``key=value``; of one key the last value counts."""
    for pair in pairs:
        if "=" not in pair:
            msg = f"Cannot read the option '{pair}'. Write key=value, for example threshold=5."
            raise UsageError(msg)
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}


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
    place: tuple[int, int],
    name: str,
    choices: dict[str, str],
    folder: Path,
    formats: list[str],
    overwrite: bool,
    regions: str,
    maps: str,
    probability: bool,
    preview: bool,
    quiet: bool,
    debug: bool,
    points: str | None,
    channels: tuple[str, ...],
    psf: str | None,
    visibilities: str | None,
    executor: Any,
    **options: Any,
) -> int:
    """Find, write and report one image; returns its exit status."""
    from astroseg.output import output_paths, refuse_existing, stem_of, write_detections
    from astroseg.plugins import load_class
    from astroseg.run_folder import WRITING

    start = time.perf_counter()
    finder = load_class(name, "finder").from_text(choices)
    if probability and not getattr(finder, "is_probability", True):
        msg = f"The finder '{name}' gives no probability, only a threshold; leave --probability out."
        raise UsageError(msg)
    given = {"points": points, "channels": channels, "psf": psf, "visibilities": visibilities}
    prompts = {key: value for key, value in given.items() if value}
    wanted: dict[str, Any] = {
        "formats": formats,
        "regions": regions,
        "maps": maps,
        "probability": probability,
        "preview": preview,
    }
    paths = output_paths(folder, stem_of(path), name, **wanted)
    run_folder = folder / f"{stem_of(path)}.{name}.run"
    if not overwrite and not (run_folder / WRITING).exists():
        refuse_existing(paths)
    with notes(quiet=quiet, debug=debug), _watch(Path(path).name, *place, quiet=quiet) as report:
        found = _found(path, finder, run_folder, executor=executor, report=report, prompts=prompts or None, **options)
        with found as (detections, again):
            wanted |= {"stem": stem_of(path), "overwrite": overwrite or again, "executor": executor}
            files = write_detections(detections, folder, **wanted)
        lost = detections.catalog.meta.get("lost", [])
    if not quiet:
        with contextlib.suppress(BrokenPipeError):  # nobody reads this any more; the other images are still wanted
            click.echo(summary(detections, files, time.perf_counter() - start))
    for part in lost:
        click.echo(f"astroseg: {path}: {_lost(part)}", err=True)
    return PARTLY if lost else 0


# What only works with the whole image in memory.
_WHOLE = ("measure_on", "prompts", "reliability")


@contextlib.contextmanager
def _found(
    path: str,
    finder: Any,
    run_folder: Path,
    *,
    executor: Any,
    tile_size: int | None,
    fresh: bool,
    report: Any,
    **options: Any,
) -> Iterator[tuple[Any, bool]]:
    """The detections, and whether files that exist already are those of the same run; they are written inside."""
    from astroseg.api import find
    from astroseg.output import remove_drafts
    from astroseg.scale import MosaicRun

    given = {key: value for key, value in options.items() if value is not None and value is not False}
    if not finder.scales or not given.keys().isdisjoint(_WHOLE):
        yield find(path, finder, **given), False
        return
    with MosaicRun(path, finder, run_folder, fresh=fresh, **given) as run:
        again = run.folder.was_writing
        if again:
            remove_drafts(run_folder.parent, run_folder.stem)
        try:
            detections = run.find(tile_size=tile_size, executor=executor, report=report)
            run.folder.begin_writing()
            yield detections, again
        except KeyboardInterrupt:
            if run_folder.exists():
                kept = f"What is found so far is in {run_folder}: the same command goes on with it."
                warnings.warn(kept, AstrosegWarning, stacklevel=2)
            raise


def _lost(part: dict[str, Any]) -> str:
    sky = "" if not all(map(math.isfinite, part["sky"])) else " (around {:.5f}, {:.5f} deg)".format(*part["sky"])
    (left, right), (bottom, top) = part["x"], part["y"]
    return f"not searched: x {left} to {right}, y {bottom} to {top}{sky}: {part['reason']}"


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
        *(["  " + _reliability(meta["reliability"])] if "reliability" in meta else []),
        "  " + "  ".join(map(click.format_filename, files)),
    ]
    return "\n".join(lines)


def _reliability(choice: dict[str, Any]) -> str:
    return (
        f"threshold {choice['threshold']:g}: reliability {choice['estimate']:.3f}, with {choice['n_inverted']:,} "
        f"detections on the inverted image and {choice['n_found']:,} on the image"
    )


@contextlib.contextmanager
def notes(*, quiet: bool, debug: bool) -> Iterator[None]:
    """Print each of our warnings as one line, when the work is done or has failed."""
    said: dict[str, None] = {}  # a set that keeps its order

    def keep(message, category, filename, lineno, file=None, line=None):  # noqa: ARG001 - set by warnings
        said[" ".join(str(message).split())] = None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always" if debug else "ignore")
            warnings.simplefilter("always", AstrosegWarning)
            warnings.showwarning = keep
            yield
    finally:
        for text in () if quiet else said:
            click.echo(f"note: {text}", err=True)


@contextlib.contextmanager
def _watch(label: str, number: int, total: int, *, quiet: bool) -> Iterator[Callable[[int, int, int], None]]:
    """Show how far the work is, where somebody watches; gone before anything else is printed."""
    if quiet or not sys.stderr.isatty():
        from astroseg.streaming import silent

        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    label = label if total == 1 else f"{label} ({number} of {total})"
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)  # until its tiles are counted the bar moves to and fro

        def report(done: int, tiles: int, n_sources: int) -> None:
            progress.update(task, completed=done, total=tiles, description=f"{label}: {n_sources:,} sources")

        yield report
