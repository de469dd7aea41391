"""The command line. Thin: every command calls the public Python API.

Nothing heavy is imported before a command runs, so that ``astroseg --help`` is instant.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from typing import Any

import click

from astroseg import __version__
from astroseg.errors import AstrosegError

__all__ = ["cli", "main"]

INTERRUPTED = 130

# Command -> module that holds it (as `command`), and the line that --help shows.
COMMANDS = {
    "image": ("astroseg.cli.image", "Make the dirty map of visibilities."),
    "restore": ("astroseg.cli.restore", "Restore a dirty image: CLEAN and other methods."),
    "find": ("astroseg.cli.find", "Find the sources of one or more images."),
    "backends": ("astroseg.cli.backends", "List the finders, restorers and trainers, or the options of one."),
    "cite": ("astroseg.cli.cite", "Print what to cite for a backend."),
    "evaluate": ("astroseg.cli.evaluate", "Compare lists of detections with the truth."),
    "compare": ("astroseg.cli.compare", "Run several finders on the same images, and write one report."),
    "inject": ("astroseg.cli.inject", "Add sources to an image and look how many are found again."),
    "train": ("astroseg.cli.train", "Train a network, or go on with a training."),
    "simulate": ("astroseg.cli.simulate", "Make a sky with known sources."),
    "new-plugin": ("astroseg.cli.new_plugin", "Start a finder plugin of your own."),
    "check": ("astroseg.cli.check", "Run the conformance kit on a backend."),
}


class _LazyGroup(click.Group):
    """Imports the module of a command when the command is run, not when it is listed."""

    plugins_added = False

    def _add_plugins(self) -> None:
        if not self.plugins_added:
            self.plugins_added = True
            from astroseg.plugins import add_commands

            add_commands(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_plugins()
        return [*COMMANDS, *sorted(set(super().list_commands(ctx)) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return click.Command(cmd_name, short_help=COMMANDS[cmd_name][1])
        self._add_plugins()
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in COMMANDS:
            return args[0], importlib.import_module(COMMANDS[args[0]][0]).command, args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Bring these two past click, which prints an empty line for the one, and exits with 1 for the other."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise _StoppedError from error


class _StoppedError(Exception):
    """Ctrl-C, or nobody reads our output any more; its cause says which."""


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="astroseg")
def cli() -> None:
    """Find and segment sources in astronomical images.

    One image in, the same kind of answer out, whichever method looked at it.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; every expected failure ends in one line and an exit status.

    0 done, 1 bad input, 2 wrong usage, 3 finished in part, 130 interrupted.
    """
    arguments = sys.argv[1:] if args is None else args
    signal.signal(signal.SIGTERM, _terminate)
    status = _run(arguments, debug="--debug" in arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if status == 0 and not isinstance(error, BrokenPipeError):
            status = _fail(*explain(error))
    sys.exit(status)


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            return cli.main(arguments, prog_name="astroseg", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, _StoppedError) as stop:
        # A reader (head, less) who had enough is no failure.
        enough = isinstance(stop.__cause__, BrokenPipeError)
        return 0 if enough else _fail("Interrupted; nothing half-written was left.", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except Exception as error:
        if debug:
            raise
        return _fail(*explain(error))


def explain(error: Exception) -> tuple[str, int]:
    """One line and an exit status for any error."""
    if isinstance(error, AstrosegError):
        return str(error), error.exit_status
    if isinstance(error, MemoryError):
        return "Out of memory.", 1
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]} (run again with --debug for the details).", 1


def _fail(message: str, status: int) -> int:
    click.echo(f"astroseg: {' '.join(message.split())}", err=True)
    return status


def _terminate(signum: int, frame: object) -> None:  # noqa: ARG001 - signal passes both
    """End like Ctrl-C does, so that temporary files are removed."""
    raise KeyboardInterrupt
