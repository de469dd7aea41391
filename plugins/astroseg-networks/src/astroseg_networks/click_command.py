"""``astroseg click``."""

from __future__ import annotations

import asyncio
import tempfile
import webbrowser
from functools import partial
from pathlib import Path
from typing import Any

import click

from astroseg.cli.find import image_options, notes, parse_pairs
from astroseg.errors import AstrosegError, PluginError

__all__ = ["command"]


@click.command("click", short_help="Outline objects by clicking on them, on a local page.")
@click.argument("image", metavar="IMAGE")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the finder 'dextr'.")
@click.option("--output", "-o", "folder", default=".", metavar="DIR", help="Where the files go. Default: here.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@image_options
@click.option(
    "--channel", "channels", multiple=True, metavar="FILE", help="Another image on the same grid; may be repeated."
)
@click.option("--no-browser", is_flag=True, help="Print the address of the page, and do not open it.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(image: str, settings: tuple[str, ...], folder: str, debug: bool, **options: Any) -> None:  # noqa: FBT001 - click passes it
    """Outline objects of IMAGE by clicking on them, on a page in your browser.

    \b
    Click the four extreme points of an object or draw a box around it, see its
    outline, correct it with further clicks, name it, and save. Files, all in
    DIR: STEM.dextr.ecsv, .reg, .labels.fits. Ctrl-C ends. The page can be
    opened on this machine only, with the address that is printed.

    \b
    Examples:
      astroseg click sun.fits
      astroseg click sun.fits --output holes --channel 171.fits
      astroseg click sun.fits --set threshold=0.6 --no-browser
    """  # noqa: D301 - \b keeps click from joining the lines
    try:
        from astroseg_networks.click_page import ClickPage
        from astroseg_networks.click_server import serve
    except ModuleNotFoundError as error:
        msg = (
            f"astroseg click needs {(error.name or '').partition('.')[0]}, which is not installed. "
            "Install it: pip install -c constraints.txt './plugins/astroseg-networks[click]'"
        )
        raise PluginError(msg) from error
    from astroseg.api import READING, prepared
    from astroseg.image import read_image
    from astroseg_networks.click_state import ClickState
    from astroseg_networks.click_view import View
    from astroseg_networks.dextr_finder import DEXTRFinder
    from astroseg_networks.outline import open_network, read_layers

    finder = DEXTRFinder.from_text(parse_pairs(settings))
    finder.validate()
    with notes(quiet=False, debug=debug):
        reading = {key: options[key] for key in READING if options[key]}
        measuring = {key: options[key] for key in ("background", "noise", "mesh")}
        layers = read_layers(prepared(read_image(image, **reading), finder, **measuring), options["channels"])
        open_network(finder.weights, finder.device)  # now, and not at the first click
    state = ClickState(layers[0], finder, channels=layers[1:], folder=folder, overwrite=options["overwrite"])
    _check_folder(state.folder)
    state.check_files()
    view = View(layers[0])

    def started(address: str) -> None:
        click.echo(f"The page is open to this machine only, at\n  {address}\nCtrl-C ends.")
        if not options["no_browser"]:
            _open_browser(address, Path(private))

    try:
        with tempfile.TemporaryDirectory(prefix="astroseg-click-") as private:
            asyncio.run(serve(partial(ClickPage, state, view), started))
    except KeyboardInterrupt:
        click.echo("Ended; the last changes were not saved." if state.unsaved else "Ended.")


def _open_browser(address: str, private: Path) -> None:
    """Open the page by way of a file that only the user can read: all on a machine see the arguments of a browser."""
    place = private / "open.html"
    place.write_text(f'<meta http-equiv="refresh" content="0; url={address}">', "utf-8")
    webbrowser.open(place.as_uri())


def _check_folder(folder: Path) -> None:
    """Make the folder, and find out before the work is done whether files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"Cannot write into the folder {folder}: {error.strerror}. Choose another with --output."
        raise AstrosegError(msg) from error
