"""``astroseg check``."""

from __future__ import annotations

import click

from astroseg.errors import AstrosegError


@click.command("check")
@click.argument("backend", metavar="NAME[:key=value,...]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the backend; may be repeated."
)
@click.option(
    "--kind", type=click.Choice(["finder", "restorer"]), help="Which, where both have the name. Default: the finder."
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(backend: str, settings: tuple[str, ...], kind: str | None, debug: bool) -> None:  # noqa: ARG001, FBT001 - click passes it
    """Run the conformance kit on a finder or restorer, and say what each check found."""
    from rich.console import Console
    from rich.markup import escape

    from astroseg.cli.find import parse_backend
    from astroseg.plugins import load_class, registrations
    from astroseg.testing import run_checks

    name, choices = parse_backend(backend, settings)
    kind = kind or next((entry.kind for entry in registrations() if entry.name == name), "finder")
    results = run_checks(load_class(name, kind).from_text(choices))
    console = Console(highlight=False)
    colours = {"passed": "green", "failed": "red"}
    for result in results:
        colour = colours.get(result.status, "yellow")
        message = f": {escape(result.message)}" if result.message else ""
        console.print(f"[{colour}]{result.status:>16}[/{colour}]  {result.name}{message}", soft_wrap=True)
    failed = sum(result.status == "failed" for result in results)
    console.print(f"{len(results) - failed} of {len(results)} checks in order.")
    if failed:
        msg = f"{name} fails {failed} of {len(results)} checks."
        raise AstrosegError(msg)
