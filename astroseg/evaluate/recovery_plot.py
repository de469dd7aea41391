"""A picture of an injection: completeness, reliability and flux ratio against S/N."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from astroseg.evaluate.recovery import InjectionResult

__all__ = ["plot_recovery"]

COMPLETENESS, RELIABILITY = "#0072b2", "#d55e00"  # told apart with any kind of colour vision
FEWEST = 5  # sources of which a median flux is worth a point


def plot_recovery(result: InjectionResult) -> Figure:
    """Draw completeness and reliability above, the flux ratio below.

    Parameters
    ----------
    result : InjectionResult

    Returns
    -------
    `~matplotlib.figure.Figure`
        Made without pyplot: nothing global is left behind.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    shares, fluxes = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    curve = result.curve()
    seen = curve[curve["n_detections"] > 0]
    _bars(shares, seen, "reliability", RELIABILITY, "s", "reliability (inverted image), by measured S/N")
    _bars(shares, curve, "completeness", COMPLETENESS, "o", "completeness, by true S/N")
    for level, limit in result.limits.items():
        if 0 < limit.value < np.inf:
            shares.plot([limit.value] * 2, [0, level], color="0.6", linewidth=0.8, zorder=1)
            shares.annotate(f"{100 * level:.0f} %", (limit.value, 0.01), rotation=90, fontsize="small", color="0.35",
                            ha="right", va="bottom")  # fmt: skip
    shares.set(ylabel="Share", ylim=(0, 1.05))
    shares.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small")
    meta = result.sources.meta
    title = f"{len(result):,} sources added to {meta['image']}, looked for by {meta['backend']}"
    figure.suptitle(title, fontsize="medium", parse_math=False)
    fluxes.axhline(1, color="0.6", linewidth=0.8)
    _bars(fluxes, curve[curve["n_found"] >= FEWEST], "flux_ratio", COMPLETENESS, "o", None)
    fluxes.set(xlabel="S/N", ylabel="Flux, measured / true", xscale="log")
    fluxes.xaxis.set_major_formatter(ScalarFormatter())
    fluxes.xaxis.set_minor_formatter(NullFormatter())
    fluxes.set_xticks([tick for tick in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500) if _within(tick, result.edges)])
    return figure


def _within(tick, edges) -> bool:
    return bool(edges[0] <= tick <= edges[-1])


def _bars(ax: Axes, curve, name, color, marker, label) -> None:
    value, low, high = (np.asarray(curve[f"{name}{end}"]) for end in ("", "_low", "_high"))
    errors = np.maximum([value - low, high - value], 0)
    style = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.2, "capsize": 2}
    ax.errorbar(curve["snr"], value, errors, label=label, **style)
