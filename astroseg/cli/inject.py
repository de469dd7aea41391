"""``astroseg inject``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from astroseg.cli.find import image_options, notes, parse_backend
from astroseg.errors import UsageError


@click.command("inject")
@click.argument("image")
@click.option(
    "--backend", "-b", required=True, metavar="NAME[:key=value,...]", help="The finder; see 'astroseg backends'."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the finder; may be repeated.")
@click.option("--output", "-o", "folder", default=".", metavar="DIR", help="Where the files go. Default: here.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--n", default=2000, show_default=True, help="Number of sources to add, over all batches.")
@click.option("--seed", default=1, show_default=True, help="The same seed adds the same sources.")
@click.option("--snr", default="2,30", show_default=True, metavar="LOW,HIGH", help="Range of their S/N.")
@click.option("--like", metavar="FILE", help="Draw fluxes and sizes from this catalogue. Default: point sources.")
@click.option("--bins", "n_bins", default=16, show_default=True, help="Bins of the curves, equal in log S/N.")
@click.option(
    "--spacing", default=20.0, show_default=True, metavar="BEAMS", help="Side of the cells that get one source each."
)
@click.option(
    "--match-radius", "radius", default=0.5, show_default=True, metavar="BEAMS", help="How far off is found again."
)
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    image: str,
    backend: str,
    settings: tuple[str, ...],
    folder: str,
    overwrite: bool,  # noqa: FBT001 - click passes it
    snr: str,
    as_json: bool,  # noqa: FBT001 - click passes it
    quiet: bool,  # noqa: FBT001 - click passes it
    debug: bool,  # noqa: FBT001 - click passes it
    **options: Any,
) -> None:
    """Add sources to IMAGE in many small batches and look how many the finder finds again.

    \b
    Measures completeness, flux bias, reliability and chance matches on your own
    image. Files: STEM.BACKEND.injection.ecsv (the curves), .injected.ecsv (the
    sources), .injection.json and .injection.png.

    \b
    Examples:
      astroseg inject image.fits --backend sigma
      astroseg inject image.fits --backend bdsf:preset=tuned --n 4000 --snr 2,100
      astroseg inject image.fits --backend peaks --like catalogue.ecsv
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.evaluate.injection import inject
    from astroseg.evaluate.recovery import injection_paths
    from astroseg.output import refuse_existing, stem_of
    from astroseg.plugins import load_class

    name, choices = parse_backend(backend, settings)
    finder = load_class(name, "finder").from_text(choices)
    finder.validate()
    if not overwrite:
        refuse_existing(injection_paths(folder, stem_of(image), name))
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    with notes(quiet=quiet, debug=debug):
        with _progress(given["n"], quiet=quiet) as progress:
            result = inject(image, finder, snr=_snr(snr), progress=progress, **given)
        files = result.write(Path(folder), stem=stem_of(image), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    elif not quiet:
        click.echo(f"{result.summary()}\n  " + "  ".join(map(click.format_filename, files)))


@contextlib.contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """What to call with the number of sources done, where somebody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)


def _snr(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        msg = f"Cannot read the S/N range '{text}'. Write LOW,HIGH, for example 2,30."
        raise UsageError(msg) from error
    return low, high
