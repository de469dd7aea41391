"""A source finder for astroseg."""

from collections.abc import Callable

from astroseg import hookimpl

__all__ = ["register_finders"]


@hookimpl
def register_finders(register: Callable[[str, str, str], None]) -> None:
    """Register the finder by the name of its class: its module is imported when it is first used."""
    register("template", "astroseg_template.finder:TemplateFinder", "Bright pixels among bright neighbours")
