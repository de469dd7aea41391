"""The core's own plugin: its finders and restorers come in by the same door as everybody's.

Naming is not importing: this module stays as light as a stranger's should be.
"""

from __future__ import annotations

from collections.abc import Callable

from astroseg.hookspecs import hookimpl


@hookimpl
def register_finders(register: Callable[[str, str, str], None]) -> None:
    """Register the finders of the core."""
    register("sigma", "astroseg.threshold:SigmaFinder", "Islands above k sigma, flooded down to a lower level")
    register("peaks", "astroseg.threshold:PeaksFinder", "Local maxima above k sigma, with or without a matched filter")
    register("yen", "astroseg.threshold:YenFinder", "Yen's histogram threshold (maximum correlation)")
    register("otsu", "astroseg.threshold:OtsuFinder", "Otsu's histogram threshold (least variance)")
    register("triangle", "astroseg.threshold:TriangleFinder", "The triangle histogram threshold")


@hookimpl
def register_restorers(register: Callable[[str, str, str], None]) -> None:
    """Register the restorers of the core."""
    register("clean", "astroseg.clean:CleanRestorer", "Points at the brightest residual, one after the other (Högbom)")
