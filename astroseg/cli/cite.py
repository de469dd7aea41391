"""``astroseg cite``."""

from __future__ import annotations

import click

from astroseg import __version__
from astroseg.plugins import load_class, package_of, registrations


@click.command("cite")
@click.argument("name")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(name: str, debug: bool) -> None:  # noqa: ARG001, FBT001 - click passes it
    """Print what to cite when results come from the backend called NAME."""
    kind = next((entry.kind for entry in registrations() if entry.name == name), "finder")
    cls = load_class(name, kind)
    package, version = package_of(cls)
    click.echo(f"Method:   {cls.citation or 'the backend names no publication'}")
    if package != "astroseg":
        click.echo(f"Plugin:   {package} {version}")
    click.echo(f"Software: astroseg {__version__}, The astroseg developers (see CITATION.cff)")
