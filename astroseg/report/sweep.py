"""A finder over a grid of its own options: what it can do at its best."""

from __future__ import annotations

from itertools import product

import numpy as np
from astropy.table import Table

from astroseg.compare import Backend, Comparison, make_backend
from astroseg.errors import UsageError
from astroseg.report.ranking import ALL, score_table

__all__ = ["best_settings", "parse_grid", "sweep_table"]


def parse_grid(text: str) -> list[Backend]:
    """Read ``NAME:key=value/value,key=value/value``: a finder for each combination.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> from astroseg.report.sweep import parse_grid
    >>> [backend.label for backend in parse_grid("sigma:threshold=4/5,min_pixels=3")]
    ['sigma:threshold=4,min_pixels=3', 'sigma:threshold=5,min_pixels=3']
    """
    name, _, options = text.partition(":")
    axes = [
        [f"{key}={value}" for value in values.split("/")]
        for key, _, values in (pair.partition("=") for pair in options.split(","))
    ]
    grid = [make_backend(name, pairs) for pairs in product(*axes)] if options else []
    if len(grid) < 2:
        msg = f"There is nothing to sweep in '{text}'. Give values between slashes, for example sigma:threshold=3/4/5."
        raise UsageError(msg)
    return grid


def sweep_table(comparison: Comparison) -> Table:
    """Scores of each setting over all images, the best F1 first.

    Parameters
    ----------
    comparison : Comparison
        Of the finders of `parse_grid`, with truth.
    """
    table = score_table(comparison)
    return table[table["image"] == ALL]


def best_settings(comparison: Comparison) -> dict[str, Backend]:
    """The settings of the best ``f1`` and ``completeness_at_95``; those that failed on an image can't win.

    Parameters
    ----------
    comparison : Comparison
        Of the finders of `parse_grid`, with truth.
    """
    table = sweep_table(comparison)
    table = table[table["n_images"] == len(comparison.fields)]
    backends = {backend.label: backend for backend in comparison.backends}
    return {
        name: backends[str(table["backend"][int(np.nanargmax(table[name]))])]
        for name in ("f1", "completeness_at_95")
        if name in table.colnames and np.isfinite(table[name]).any()
    }
