"""``astroseg new-plugin``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new-plugin")
@click.argument("name")
@click.option("--output", "-o", "folder", default=".", metavar="DIR", help="Where the new folder goes. Default: here.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(name: str, folder: str, debug: bool) -> None:  # noqa: ARG001, FBT001 - click passes it
    """Start a finder plugin called NAME: a whole package, with tests and a CI file, ready to install."""
    from astroseg.scaffold import new_plugin

    path = new_plugin(name, Path(folder))
    click.echo(f"Made {path}. Next:")
    click.echo(f"  pip install -e {path}")
    click.echo(f"  astroseg backends {name}")
    click.echo(f"  astroseg check {name}")
