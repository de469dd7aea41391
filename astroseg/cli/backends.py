"""``astroseg backends``."""

from __future__ import annotations

import json
import shutil
import textwrap

import click

from astroseg.options import Configurable, Option
from astroseg.plugins import Registration, load_class, registrations


@click.command("backends")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects for other programs.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(name: str | None, as_json: bool, debug: bool) -> None:  # noqa: ARG001, FBT001 - click passes it
    """List the finders, restorers and trainers, or show the options of the one called NAME.

    A plugin that cannot be loaded is listed with the reason and what to do.
    """
    entries = registrations()
    if name is not None:
        kinds = [entry.kind for entry in entries if entry.name == name] or ["finder"]
        shown = [kind for kind in kinds if kind != "trainer"] or kinds
        for kind in shown[:1] if as_json else shown:  # a finder and a restorer may share a name
            show_options(load_class(name, kind), kind, as_json=as_json)
        if "trainer" in kinds[1:] and not as_json:
            click.echo(f"It can be trained: astroseg train {name} --options")
    elif as_json:
        keys = ("name", "kind", "summary", "package", "version", "ok", "error", "install")
        click.echo(json.dumps([{key: getattr(entry, key) for key in keys} for entry in entries], indent=2))
    else:
        _show_list(entries)


def _show_list(entries: list[Registration]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "kind", "what it does", "package"):
        table.add_column(title, no_wrap=title != "what it does")
    for entry in entries:
        trouble = f"[red]broken:[/red] {_escape(entry.error)}. To mend it: {_escape(entry.install)}."
        table.add_row(
            f"[bold]{_escape(entry.name)}[/bold]",
            entry.kind,
            _escape(entry.summary) if entry.ok else trouble,
            f"{_escape(entry.package)} {entry.version}",
        )
    console = Console()
    with console.capture() as capture:  # rich ends the process when the reader (head, less) goes away
        console.print(table)
    click.echo(capture.get(), nl=False)
    click.echo("\nOptions of one: astroseg backends NAME")


def show_options(cls: type[Configurable], kind: str, *, as_json: bool = False) -> None:
    """Print the options of a finder, restorer or trainer.

    Parameters
    ----------
    cls : type
    kind : str
    as_json : bool
        As a list of objects, for other programs.
    """
    options = cls.options()
    if as_json:
        rows = [
            {
                "name": key,
                "type": option.kind,
                "default": option.default,
                "unit": option.unit,
                "meaning": option.meaning,
            }
            for key, option in options.items()
        ]
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    lines = (cls.__doc__ or "").strip().splitlines()
    click.echo(f"{cls.name}: {lines[0] if lines else ''}\n")
    for option in options.values():
        _show_option(option)
    if options:
        command = {
            "trainer": f"train {cls.name}",
            "restorer": f"restore image.fits --output restored.fits --with {cls.name}",
        }.get(kind, f"find image.fits --backend {cls.name}")
        click.echo(f"\nExample: astroseg {command} --set {next(iter(options))}=VALUE")
    else:
        click.echo("It has no options.")


def _show_option(option: Option) -> None:
    """Two lines: name, default, type and unit; and what it means."""
    default = str(option.default)
    default = default.lower() if default in ("None", "True", "False") else default
    kind = ", ".join(filter(None, (option.kind, option.unit)))
    click.echo(f"  {click.style(option.name, bold=True)} = {default}  ({kind})")
    width = min(shutil.get_terminal_size().columns, 100)
    click.echo(
        textwrap.fill(option.meaning.replace("``", ""), width, initial_indent="      ", subsequent_indent="      ")
    )


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
