"""``astroseg restore``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from astroseg.cli.find import notes, parse_backend, reading_options


@click.command("restore")
@click.argument("image")
@click.option(
    "--with", "restorer", default="clean", show_default=True, metavar="NAME[:key=value,...]",
    help="The restorer; see 'astroseg backends'.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the restorer; may be repeated."
)
@click.option("--psf", metavar="FILE", help="Point spread function, on pixels of the same size.")
@click.option("--visibilities", metavar="FILE", help="What the image was made of.")
@click.option(
    "--output", "-o", required=True, metavar="FILE",
    help="The restored image. Model and residual go beside it.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--preview", is_flag=True, help="Write a PNG of the image before and after, and of the residual.")
@reading_options
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    image: str,
    restorer: str,
    settings: tuple[str, ...],
    psf: str | None,
    visibilities: str | None,
    output: str,
    overwrite: bool,  # noqa: FBT001 - click passes it
    preview: bool,  # noqa: FBT001 - click passes it
    quiet: bool,  # noqa: FBT001 - click passes it
    debug: bool,  # noqa: FBT001 - click passes it
    **reading: Any,
) -> None:
    """Restore IMAGE, a dirty map or any image with a known point spread function.

    \b
    Point spread function and visibilities are read from the image's own file
    where it holds them (astroseg image writes such files). The line that is
    printed says how well the model explains the measurement, before (an empty
    model) and after. --beam chooses the restoring beam.

    \b
    Examples:
      astroseg restore dirty.fits --with clean --output clean.fits --preview
      astroseg restore dirty.fits --with clean:niter=300 --psf psf.fits -o clean.fits
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.image import read_image
    from astroseg.output import refuse_existing
    from astroseg.plugins import load_class
    from astroseg.restoration import fidelity_text, restored_paths, write_restored

    path = Path(output)
    name, choices = parse_backend(restorer, settings)
    chosen = load_class(name, "restorer").from_text(choices)
    chosen.validate()
    if not overwrite:
        refuse_existing(restored_paths(path, preview=preview))
    with notes(quiet=quiet, debug=debug):
        read = read_image(image, **{key: value for key, value in reading.items() if value})
        start = time.perf_counter()
        restored = chosen.restore(read, psf=psf, visibilities=visibilities)
        seconds = time.perf_counter() - start
        files = write_restored(read, restored, path, preview=preview, overwrite=overwrite)
    if not quiet:
        click.echo(f"{read.meta['name']}: {name}, beam {restored.meta['beam']}, {seconds:.2f} s")
        for when, key in (("before", "fidelity_before"), ("after", "fidelity")):
            if key in restored.meta:
                click.echo(f"  {when}: {fidelity_text(restored.meta[key], read.unit)}")
        click.echo("  " + "  ".join(map(click.format_filename, files)))
