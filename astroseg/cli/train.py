"""``astroseg train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from astroseg.cli import INTERRUPTED
from astroseg.cli.backends import show_options
from astroseg.cli.find import notes, parse_pairs


@click.command("train")
@click.argument("name")
@click.option("--config", metavar="FILE", help="TOML whose keys are the trainer's options.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the trainer; overrules --config."
)
@click.option("--device", metavar="auto|cpu|cuda[:N]", help="Short for --set device=...")
@click.option("--output", "-o", "folder", metavar="DIR", help="Where the files go. Default: NAME.training.")
@click.option("--fresh", is_flag=True, help="Start over, instead of going on with an interrupted training.")
@click.option("--options", "list_options", is_flag=True, help="Show the trainer's options, and train nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
def command(
    name: str,
    config: str | None,
    settings: tuple[str, ...],
    device: str | None,
    folder: str | None,
    **flags: bool,
) -> int:
    """Train the network called NAME, or go on with a training that was interrupted.

    \b
    The same command goes on from the last checkpoint in DIR. Files in DIR:
    config.toml (the options, to repeat it), scores and pictures while it runs,
    the weights at the end. Exit status: 0 done, 1 bad input, 2 wrong usage,
    130 interrupted.

    \b
    Examples:
      astroseg train unet --options
      astroseg train unet --config unet.toml --output runs/unet
      astroseg train unet --set images=a.fits --set truths=a.ecsv --set start=unet
    """  # noqa: D301 - \b keeps click from joining the lines
    from astroseg.plugins import load_class
    from astroseg.trainer import prepare_folder, read_config

    cls = load_class(name, "trainer")
    if flags["list_options"]:
        show_options(cls, "trainer")
        return 0
    given: dict[str, Any] = {} if config is None else read_config(config, cls)
    texts = parse_pairs(settings) | ({} if device is None else {"device": device})
    trainer = cls(**given | {key: cls.option(key).parse(text) for key, text in texts.items()})
    place = Path(folder or f"{name}.training")
    prepare_folder(trainer, place, fresh=flags["fresh"])
    try:
        with notes(quiet=flags["quiet"], debug=flags["debug"]):
            files = trainer.train(place, quiet=flags["quiet"])
    except KeyboardInterrupt:
        click.echo(
            "astroseg: Interrupted. The same command without --fresh goes on from the last checkpoint.", err=True
        )
        return INTERRUPTED
    if files and not flags["quiet"]:
        click.echo("  ".join(map(click.format_filename, files)))
    return 0
