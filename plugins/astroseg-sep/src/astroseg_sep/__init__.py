"""SExtractor's method as a finder of astroseg, through `sep`."""

from collections.abc import Callable

from astroseg import hookimpl

__all__ = ["register_finders"]


@hookimpl
def register_finders(register: Callable[[str, str, str], None]) -> None:
    """Register the finder."""
    register("sep", "astroseg_sep.finder:SepFinder", "SExtractor's method (mesh background, filter, deblending)")
