"""``astroseg image``."""

from __future__ import annotations

from pathlib import Path

import click

from astroseg.cli.find import notes


@click.command("image")
@click.argument("visibilities")
@click.option("--output", "-o", required=True, metavar="FILE", help="The dirty map.")
@click.option(
    "--size", type=click.IntRange(16, 8192), metavar="N", help="Side in pixels. Default: as the coarsest ask."
)
@click.option("--pixel", type=float, metavar="ARCSEC", help="Side of a pixel. Default: a seventh of the resolution.")
@click.option(
    "--finest", type=float, metavar="ARCSEC", help="Leave out what resolves more than this, often noise alone."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    visibilities: str,
    output: str,
    size: int | None,
    pixel: float | None,
    finest: float | None,
    overwrite: bool,  # noqa: FBT001 - click passes it
    quiet: bool,  # noqa: FBT001 - click passes it
    debug: bool,  # noqa: FBT001 - click passes it
) -> None:
    """Make the dirty map of VISIBILITIES, of STIX, RHESSI or others, around their phase centre.

    \b
    Reads FITS tables with the columns of RHESSI, and FITS or ECSV tables with
    the columns u, v, re, im, err. The map holds its dirty beam and the
    visibilities, so that astroseg restore needs nothing else.

    \b
    Examples:
      astroseg image stix.ecsv --output dirty.fits
      astroseg image hsi_vis.fits --finest 6 --size 129 --pixel 1 -o dirty.fits
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.output import refuse_existing
    from astroseg.restoration import write_dirty
    from astroseg.visibilities import choose_grid, dirty_map, grid
    from astroseg.visibility_files import read_visibilities

    path = Path(output)
    if not overwrite:
        refuse_existing({"image": path})
    with notes(quiet=quiet, debug=debug):
        seen = read_visibilities(visibilities)
        if finest is not None:
            seen = seen.resolving(finest)
        size, pixel = choose_grid(seen, size, pixel)
        image = dirty_map(seen, (size, size), grid(seen, size, pixel))
        write_dirty(image, path, overwrite=overwrite)
    if not quiet:
        centre = ", ".join(f"{angle:.1f}" for angle in seen.centre)
        click.echo(
            f"{seen.name}: {seen.u.size} visibilities, resolution {seen.resolution.min():.3g} arcsec, "
            f"{size} x {size} pixels of {pixel:g} arcsec around {centre} arcsec\n  {click.format_filename(path)}"
        )
