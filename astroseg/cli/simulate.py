"""``astroseg simulate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from astroseg.errors import AstrosegError, UsageError


@click.group("simulate")
def command() -> None:
    """Make a sky with known sources: image, noise-free model, truth catalogue, truth labels."""


def _common(kind: str, size: int) -> Callable:
    """Options of every kind of sky."""

    def decorate(function: Callable) -> Callable:
        for option in reversed([
            click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes."),
            click.option("--size", default=size, show_default=True, help="Side of the image in pixels."),
            click.option("--output", "-o", "stem", default=kind, show_default=True, metavar="STEM",
                         help="Start of the file names."),
            click.option("--overwrite", is_flag=True, help="Replace existing files."),
            click.option("--debug", is_flag=True, help="Show tracebacks."),
        ]):  # fmt: skip
            function = option(function)
        return function

    return decorate


@command.command("radio")
@click.option("--preset", default="compact", show_default=True, metavar="NAME",
              help="Kind of field: compact (bright points in noise), sdc1, crowded or extended.")  # fmt: skip
@click.option("--density", type=float, help="Sources per megapixel.  [default: the preset's]")
@click.option("--set", "pairs", multiple=True, metavar="NAME=NUMBER",
              help="Any other setting of the preset, for example beam=6 (arcsec), pixel=2, rms=1e-5 (Jy/beam), "
              "blank=0.1, uneven=0.2, artefacts=0.01.")  # fmt: skip
@_common("radio", 512)
def radio(preset: str, density: float | None, pairs: tuple[str, ...], **common: Any) -> None:
    """Make a radio field, as an interferometer would image it."""
    from astroseg.simulate.radio import simulate_radio

    options = dict(map(_pair, pairs)) | ({} if density is None else {"density": density})
    _make(simulate_radio, common, preset=preset, **options)


@command.command("array")
@click.option("--array", default="vla", show_default=True, metavar="NAME", help="Like that: vla or meerkat.")
@click.option("--density", default=1000.0, show_default=True, help="Sources per megapixel.")
@click.option("--hours", default=2.0, show_default=True, help="How long the field is followed.")
@click.option("--set", "pairs", multiple=True, metavar="NAME=NUMBER",
              help="Any other setting: beam=4 (pixels), pixel=1 (arcsec), rms=1e-5 (Jy/beam), "
              "brightest=1e-2 (Jy).")  # fmt: skip
@_common("array", 128)
def array(pairs: tuple[str, ...], **options: Any) -> None:
    """Make a radio field as an array of antennas sees it: a dirty map, with its dirty beam."""
    from astroseg.simulate.array import simulate_array

    common = {key: options.pop(key) for key in ("seed", "size", "stem", "overwrite", "debug")}
    _make(simulate_array, common, **options, **dict(map(_pair, pairs)))


@command.command("mosaic")
@click.option("--preset", default="compact", show_default=True, metavar="NAME", help="As that of 'radio'.")
@click.option("--density", type=float, help="Sources per megapixel.  [default: the preset's]")
@click.option("--set", "pairs", multiple=True, metavar="NAME=NUMBER", help="As that of 'radio'.")
@_common("mosaic", 4096)
def mosaic(preset: str, density: float | None, pairs: tuple[str, ...], **common: Any) -> None:
    """Make a radio field of any size, block by block: image and truth catalogue, no model and no labels."""
    from astroseg.simulate.mosaic import RadioMosaic

    options = dict(map(_pair, pairs)) | ({} if density is None else {"density": density})
    _make(RadioMosaic, common | {"writing": {"watch": _watched}}, preset=preset, **options)


@command.command("optical")
@click.option("--density", default=1500.0, show_default=True, help="Galaxies and stars per megapixel.")
@click.option("--stars", default=0.15, show_default=True, help="Share of stars.")
@click.option("--blends", default=0.3, show_default=True, help="Share of galaxies with a close companion.")
@click.option("--seeing", default=0.7, show_default=True, help="Width of the point spread function, arcsec.")
@_common("optical", 256)
def optical(density: float, stars: float, blends: float, seeing: float, **common: Any) -> None:
    """Make galaxies with clumps, blends and stars on a bright sky (needs GalSim)."""
    from astroseg.simulate.optical import simulate_optical

    _make(simulate_optical, common, density=density, stars=stars, blends=blends, seeing=seeing)


@command.command("solar")
@click.option("--channel", default="continuum", show_default=True, metavar="NAME",
              help="continuum (spots), euv (coronal holes and active regions), "
              "chromosphere (filaments and ribbons).")  # fmt: skip
@_common("solar", 512)
def solar(channel: str, **common: Any) -> None:
    """Make a full disk of the Sun."""
    from astroseg.simulate.solar import simulate_solar

    _make(simulate_solar, common, channel=channel)


@command.command("xray")
@click.option("--counts", default=2000.0, show_default=True, help="Mean number of photons behind each pair of grids.")
@click.option("--sources", type=int, help="How many sources, 1 to 3.  [default: each as likely]")
@_common("xray", 129)
def xray(counts: float, sources: int | None, **common: Any) -> None:
    """Make the dirty map of a flare, from 24 visibilities."""
    from astroseg.simulate.xray import simulate_xray

    _make(simulate_xray, common, counts=counts, sources=sources)


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        msg = f"Cannot read '{text}'. Give NAME=NUMBER, for example beam=6."
        raise UsageError(msg) from None


def _watched(rows: Iterator[Any], total: int) -> Iterable[Any]:
    """Show how far the work is, where somebody watches."""
    if not sys.stderr.isatty():
        return rows
    from rich.console import Console
    from rich.progress import track

    return track(rows, "Making the mosaic", total, console=Console(stderr=True), transient=True)


def _make(simulate: Callable, common: dict[str, Any], **options: Any) -> None:
    """Make the sky and write it."""
    if common["seed"] < 0:
        msg = f"The seed is {common['seed']}; it must be zero or positive."
        raise UsageError(msg)
    stem = common["stem"].removesuffix(".fits")
    target = Path(f"{stem}.fits")
    if target.exists() and not common["overwrite"]:
        msg = f"{target} exists already. Replace it with --overwrite."
        raise AstrosegError(msg)
    sky = simulate(seed=common["seed"], size=common["size"], **options)
    paths = sky.write(stem, **common.get("writing", {}))
    known = f"{len(sky.truth):,} sources: " if hasattr(sky.truth, "colnames") else ""
    click.echo(f"{known}{'  '.join(map(str, paths))}")
