"""``astroseg simulate``."""

from __future__ import annotations

from pathlib import Path

import click

from astroseg.errors import AstrosegError, UsageError


@click.group("simulate")
def command() -> None:
    """Make a sky with known sources: image, noise-free model, truth catalogue, truth labels."""


@command.command("radio")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--size", default=512, show_default=True, help="Side of the image in pixels.")
@click.option("--density", default=1000.0, show_default=True, help="Sources per megapixel.")
@click.option(
    "--output", "-o", "stem", default="radio", show_default=True, metavar="STEM", help="Start of the file names."
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def radio(seed: int, size: int, density: float, stem: str, overwrite: bool, debug: bool) -> None:  # noqa: ARG001, FBT001
    """Make a simple radio field: Gaussian sources, correlated noise, 2.5 pixels to the beam."""
    from astroseg.simulate.radio import simulate_radio

    if size < 16 or density < 0 or seed < 0:
        msg = "The size must be at least 16, density and seed at least 0."
        raise UsageError(msg)
    target = Path(f"{stem}.fits")
    if target.exists() and not overwrite:
        msg = f"{target} exists already. Replace it with --overwrite."
        raise AstrosegError(msg)
    sky = simulate_radio(seed=seed, size=size, density=density)
    paths = sky.write(stem)
    click.echo(f"{len(sky.truth):,} sources: {'  '.join(map(str, paths))}")
