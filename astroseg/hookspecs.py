"""The whole plugin contract. Entry-point group and pluggy project name: ``astroseg``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("astroseg")
hookimpl = pluggy.HookimplMarker("astroseg")


@hookspec
def register_finders(register: Callable[[str, str, str], None]) -> None:
    """Offer finders: call ``register(name, "package.module:Class", summary)``."""


@hookspec
def register_restorers(register: Callable[[str, str, str], None]) -> None:
    """Offer restorers: call ``register(name, "package.module:Class", summary)``."""


@hookspec
def register_trainers(register: Callable[[str, str, str], None]) -> None:
    """Offer trainers for ``astroseg train``: call ``register(name, "package.module:Class", summary)``."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands of your own: ``@cli.command()``."""
