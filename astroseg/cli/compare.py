"""``astroseg compare``."""

from __future__ import annotations

from typing import Any

import click

from astroseg.cli.find import PARTLY, image_options, notes


class _ManyTruths(click.Command):
    """Takes several files after one ``--truth``, as shells expand a pattern."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say ``--truth`` again before each further file."""
        spelled: list[str] = []
        truths = False
        for word in args:
            if truths and not word.startswith("-") and spelled[-1] != "--truth":
                spelled.append("--truth")
            truths = word == "--truth" or (truths and not word.startswith("-"))
            spelled.append(word)
        return super().parse_args(ctx, spelled)


@click.command("compare", cls=_ManyTruths)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--backends", "-b", required=True, metavar="LIST", help="Finders, NAME[:key=value,...], separated by commas."
)
@click.option(
    "--truth",
    "truths",
    multiple=True,
    metavar="FILE...",
    help="What is truly there: one file an image, in their order.",
)
@click.option("--truth-format", metavar="NAME", help="Of the truth files. Default: told from their content.")
@click.option("--output", "-o", "folder", required=True, metavar="DIR", help="Where everything goes.")
@click.option(
    "--match-radius", default="0.5", show_default=True, metavar="BEAMS", help="Also with a unit: 2arcsec, 3pix."
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME:key=value/value",
    help="Try all combinations of these options, and let the one of best F1 take part; may be repeated.",
)
@image_options
@click.option("--figures", metavar="pdf|png|svg", help="Write the figures as files too.")
@click.option("--overwrite", is_flag=True, help="Run all finders again, also where their results are there.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    images: tuple[str, ...],
    backends: str,
    truths: tuple[str, ...],
    truth_format: str | None,
    folder: str,
    match_radius: str,
    sweeps: tuple[str, ...],
    figures: str | None,
    overwrite: bool,  # noqa: FBT001 - click passes it
    quiet: bool,  # noqa: FBT001 - click passes it
    debug: bool,  # noqa: FBT001 - click passes it
    **measuring: Any,
) -> int:
    """Run several finders on each IMAGE, score them, and write one report.

    \b
    The images come first. With --truth the finders are scored against it,
    without it they are compared with each other. Results that are in DIR
    already, of the same image, options and versions, are not made again.
    Files: report.html (opens offline), scores.ecsv, scores.csv, curves/,
    detections/, with --sweep sweeps/. Exit status: 0 done, 1 bad input or
    all finders failed, 2 wrong usage, 3 some finders failed, 130 interrupted.

    \b
    Examples:
      astroseg compare image.fits --backends yen,sigma,bdsf:preset=tuned -o study
      astroseg compare image.fits --beam 6,5,30 -b sigma,peaks -o study
      astroseg compare a.fits b.fits --truth a.ecsv b.ecsv -b sigma,peaks -o study
      astroseg compare a.fits --truth a.ecsv -b yen --sweep sigma:threshold=3/4/5 -o study
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.compare import compare, parse_backends
    from astroseg.errors import UsageError
    from astroseg.report import check_figures, parse_grid, write_report

    check_figures(figures)
    chosen, grids = parse_backends(backends), [parse_grid(sweep) for sweep in sweeps]
    if grids and not truths:
        msg = "Without truth there is no best setting: give --truth too, or leave --sweep out."
        raise UsageError(msg)
    rules = {"truth": truths, "truth_format": truth_format, "radius": _radius(match_radius), "overwrite": overwrite}
    rules |= {"tell": lambda run: _say(run, quiet=quiet), **measuring}
    with notes(quiet=quiet, debug=debug):
        for grid in grids:
            swept = compare(images, grid, folder, **rules)
            chosen += _best(swept, folder, quiet=quiet)
        comparison = compare(images, chosen, folder, **rules)
        files = write_report(comparison, folder, figures=figures)
    if not quiet:
        click.echo(f"  {click.format_filename(files[-1])}")
    failed = len(comparison.failures)
    return 0 if not failed else 1 if failed == len(comparison.runs) else PARTLY


def _radius(text: str) -> Any:
    import astropy.units as u

    from astroseg.errors import UsageError

    try:
        radius = u.Quantity(text)
    except (TypeError, ValueError):
        msg = f"Cannot read the radius '{text}'. Give a number of beams, or an angle or pixels: 0.5, 2arcsec, 3pix."
        raise UsageError(msg) from None
    return float(radius) if radius.unit == u.one else radius


def _best(swept: Any, folder: str, *, quiet: bool) -> list[Any]:
    """The setting of best F1, under a name that says that it was chosen; none where all failed."""
    from dataclasses import replace

    from astroseg.report import best_settings, write_sweep

    path, best = write_sweep(swept, folder), best_settings(swept)
    if not quiet:
        for score, backend in best.items():
            click.echo(f"  best {score} of {len(swept.backends)} settings: {backend.label}")
        click.echo(f"  {click.format_filename(path)}")
    return [replace(best["f1"], label=f"{best['f1'].label} (best of {len(swept.backends)})")] if best else []


def _say(run: Any, *, quiet: bool) -> None:
    """One line a run."""
    name = f"{run.field.image.meta['name']}: {run.backend.label}"
    if run.detections is None:
        click.echo(f"astroseg: {name}: {run.error}", err=True)
    elif not quiet:
        score = "" if run.sources is None else f", F1 {run.sources.scores['f1'].value:.3f}"
        when = "from earlier" if run.resumed else f"{run.seconds:.2f} s"
        click.echo(f"{name}: {len(run.detections):,} found{score} ({when})")
