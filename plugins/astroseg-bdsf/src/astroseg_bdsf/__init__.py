"""PyBDSF as a source finder of astroseg."""

from collections.abc import Callable

from astroseg import hookimpl

__version__ = "0.1.0.dev0"


@hookimpl
def register_finders(register: Callable[[str, str, str], None]) -> None:
    """Register the finder."""
    register("bdsf", "astroseg_bdsf.finder:BDSFFinder", "PyBDSF: islands, fitted by Gaussians")
