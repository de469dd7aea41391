"""Find and segment sources in astronomical images: one image in, the same kind of answer out.

The names below are loaded when first used, so that ``import astroseg`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

# Public name -> module that holds it.
_HOME = {
    "AstrosegError": "astroseg.errors",
    "AstrosegWarning": "astroseg.errors",
    "Beam": "astroseg.beam",
    "Detections": "astroseg.finder",
    "NoDetectionsWarning": "astroseg.errors",
    "UsageError": "astroseg.errors",
    "PluginError": "astroseg.errors",
    "PixelFinder": "astroseg.finder",
    "Restorer": "astroseg.restorer",
    "SourceFinder": "astroseg.finder",
    "Trainer": "astroseg.trainer",
    "find": "astroseg.api",
    "get_finder": "astroseg.plugins",
    "get_restorer": "astroseg.plugins",
    "get_trainer": "astroseg.plugins",
    "hookimpl": "astroseg.hookspecs",
    "measure": "astroseg.measurement",
    "read_catalog": "astroseg.catalog",
    "read_image": "astroseg.image",
    "standardize": "astroseg.background",
}

__all__ = [
    "AstrosegError",
    "AstrosegWarning",
    "Beam",
    "Detections",
    "NoDetectionsWarning",
    "PixelFinder",
    "PluginError",
    "Restorer",
    "SourceFinder",
    "Trainer",
    "UsageError",
    "__version__",
    "find",
    "get_finder",
    "get_restorer",
    "get_trainer",
    "hookimpl",
    "measure",
    "read_catalog",
    "read_image",
    "standardize",
]

if TYPE_CHECKING:
    from astroseg.api import find
    from astroseg.background import standardize
    from astroseg.beam import Beam
    from astroseg.catalog import read_catalog
    from astroseg.errors import AstrosegError, AstrosegWarning, NoDetectionsWarning, PluginError, UsageError
    from astroseg.finder import Detections, PixelFinder, SourceFinder
    from astroseg.hookspecs import hookimpl
    from astroseg.image import read_image
    from astroseg.measurement import measure
    from astroseg.plugins import get_finder, get_restorer, get_trainer
    from astroseg.restorer import Restorer
    from astroseg.trainer import Trainer


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    msg = f"module 'astroseg' has no attribute '{name}'"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
