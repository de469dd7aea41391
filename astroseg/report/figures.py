"""The figures of the report: each is one function that draws the table of its name on axes.

A finder has its colour, marker and line style in all of them, so that no figure needs colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from astropy.table import QTable
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

__all__ = ["FIGURES", "draw", "render", "styles_of"]

# Okabe and Ito's colours, without the yellow that white paper swallows.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
SIZE = (4.8, 4.1)  # inches: on a phone the letters are still as large as those of the text
FEWEST = 3  # sources of which a median is worth a point
MARGIN = 1.6  # beside the data of a logarithmic axis, so that there is a round number in any case
WIDE = 30.0  # ratio of the ends of an axis beyond which its ticks are powers of ten
SHORT = {
    "f1": "F1\n(Dice)",
    "iou": "IoU",
    "average_precision": "average\nprecision",
    "panoptic_quality": "panoptic\nquality",
}
LAST_BIN = 1.5  # upper edge of the last bin, which is open, in units of the lower

Styles = dict[str, dict]


def styles_of(labels: list[str]) -> Styles:
    """Colour, marker and line of each finder, by its place in the comparison.

    Parameters
    ----------
    labels : list of str
    """
    return {
        label: {
            "color": COLORS[number % len(COLORS)],
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": LINES[number % len(LINES)],
        }
        for number, label in enumerate(labels)
    }


def render(figure: Figure, form: str) -> bytes:
    """A figure as the bytes of a file, the same ones each time.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure`
    form : {"svg", "png", "pdf"}
    """
    stream = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "astroseg", "pdf.fonttype": 42}):
        figure.savefig(stream, format=form, metadata=undated, dpi=200)
    return stream.getvalue()


def draw(name: str, table: QTable, styles: Styles) -> Figure:
    """Draw a figure.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    table : `~astropy.table.QTable`
        Of that name, from `~astroseg.report.curves.curve_tables`.
    styles : dict
        From `styles_of`.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    ax.grid(visible=True, color="0.92")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    FIGURES[name](ax, table, styles)
    handles, labels = ax.get_legend_handles_labels()
    if handles:  # above the axes, where no curve can be
        columns = 3 if max(map(len, labels)) < 14 else 2
        legend = figure.legend(
            handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize="small"
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _completeness(ax, table, styles) -> None:
    _shares(ax, table, styles)
    ax.set(ylabel="Completeness")
    _snr_axis(ax, "True S/N")


def _reliability(ax, table, styles) -> None:
    _shares(ax, table, styles)
    ax.set(ylabel="Reliability")
    _snr_axis(ax, "Measured S/N")


def _purity_completeness(ax, table, styles) -> None:
    """A line along the finder's own score; the marker is the finder as it was run."""
    for label, part in _finders(table):
        style = styles[label]
        ax.plot(part["completeness"], part["reliability"], color=style["color"], linestyle=style["linestyle"])
        ax.plot(part["completeness"][-1:], part["reliability"][-1:], label=label, **style)
    lowest = float(np.nanmin(table["reliability"]))
    ax.set(xlabel="Completeness", ylabel="Reliability", xlim=(0, 1.02), ylim=(min(max(lowest - 0.05, 0), 0.8), 1.01))


def _flux_ratio(ax, table, styles) -> None:
    ax.axhline(1, color="0.6", linewidth=0.8)
    _medians(ax, table, styles)
    highest = float(np.nanquantile(table["high"].value, 0.95)) if len(table) else 2.0
    ax.set(ylabel="Flux, measured / true", ylim=(0, max(2.0, min(1.2 * highest, 5.0))))


def _position_error(ax, table, styles) -> None:
    _medians(ax, table, styles)
    ax.set(ylabel=f"Distance from the truth ({table['median'].unit})")
    ax.set_ylim(bottom=0)


def _pixels(ax, table, styles) -> None:
    names = list(dict.fromkeys(table["score"]))
    for label, part in _finders(table):
        x = np.array([names.index(name) for name in part["score"]]) + _offset(label, styles)
        style = styles[label] | {"linestyle": ""}
        ax.errorbar(x, part["value"], np.nan_to_num(_errors(part, "value")), label=label, capsize=2, **style)
    ax.set_xticks(range(len(names)), [SHORT.get(name, name) for name in names])
    ax.set(ylabel="Score", ylim=(0, 1.02))


def _seconds(ax, table, styles) -> None:
    _costs(ax, table, styles, "seconds")
    ax.set(xlabel="Seconds per megapixel")


def _memory(ax, table, styles) -> None:
    _costs(ax, table, styles, "memory")
    ax.set(xlabel="Peak memory, bytes per pixel")


def _consensus(ax, table, styles) -> None:  # noqa: ARG001 - as the others
    names = [name for name in table.colnames if name.startswith("others_")]
    left, rows = np.zeros(len(table)), range(len(table))
    for number, name in enumerate(names):
        shade = str(round(0.9 - 0.75 * number / max(len(names) - 1, 1), 2))
        label = "by no other" if number == 0 else f"by {number} other{'s' if number > 1 else ''}"
        ax.barh(rows, table[name], left=left, color=shade, edgecolor="black", linewidth=0.6, label=label,
                hatch="///" if number == 0 else None)  # fmt: skip
        left += table[name]
    ax.set_yticks(rows, list(table["backend"]), parse_math=False)
    ax.set(xlabel="Detections, found too ...", ylim=(len(table) - 0.5, -0.5))


#: Name of a table of curves -> the function that draws it.
FIGURES: dict[str, Callable[[Axes, QTable, Styles], None]] = {
    "completeness": _completeness,
    "reliability": _reliability,
    "purity_completeness": _purity_completeness,
    "flux_ratio": _flux_ratio,
    "position_error": _position_error,
    "pixels": _pixels,
    "consensus": _consensus,
    "seconds": _seconds,
    "memory": _memory,
}


def _finders(table) -> Iterator[tuple[str, QTable]]:
    for label in dict.fromkeys(map(str, table["backend"])):
        yield label, table[table["backend"] == label]


def _offset(label, styles) -> float:
    """Finders stand side by side, so that their error bars can be told apart."""
    number = len(styles)
    return 0.5 * (list(styles).index(label) - (number - 1) / 2) / number


def _middles(part, label, styles) -> np.ndarray:
    low, high = (np.asarray(part[name], dtype=float) for name in ("snr_low", "snr_high"))
    high = np.where(np.isfinite(high), high, LAST_BIN * low)
    return np.sqrt(low * high) * (high / low) ** (0.5 * _offset(label, styles))


def _errors(part, name) -> np.ndarray:
    """Lengths of the error bars, down and up."""
    value, low, high = (np.asarray(getattr(part[key], "value", part[key])) for key in (name, "low", "high"))
    return np.maximum([value - low, high - value], 0)


def _shares(ax, table, styles) -> None:
    for label, part in _finders(table[table["trials"] > 0]):
        _bars(ax, part, "share", label, styles)
    ax.set(ylim=(0, 1.03))


def _medians(ax, table, styles) -> None:
    for label, part in _finders(table[table["n"] >= FEWEST]):
        _bars(ax, part, "median", label, styles)
    _snr_axis(ax, "True S/N")


def _bars(ax, part, name, label, styles) -> None:
    value = getattr(part[name], "value", part[name])
    looks = {"markersize": 5, "linewidth": 1.4, "elinewidth": 0.7, **styles[label]}
    ax.errorbar(_middles(part, label, styles), value, _errors(part, name), label=label, **looks)


def _costs(ax, table, styles, name) -> None:
    """A marker an image, the finders below each other."""
    table = table[table[name].value > 0]  # a run may take too little memory to be measured
    for label, part in _finders(table):
        rows = np.full(len(part), list(styles).index(label))
        ax.plot(part[name].value / part["megapixels"], rows, **styles[label] | {"linestyle": ""})
    ax.set_yticks(range(len(styles)), list(styles), parse_math=False)
    ax.set(xscale="log", ylim=(len(styles) - 0.5, -0.5))
    if len(table) == 0:
        return
    low, high = ax.dataLim.intervalx
    ax.set_xlim(low / MARGIN, high * MARGIN)
    ax.set_xticks(_round_numbers(low / MARGIN, high * MARGIN))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def _round_numbers(low, high) -> list[float]:
    """1, 2, 5, 10, ... between two numbers; where they are far apart, powers of ten."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))))
    steps = (1, 2, 5) if high < WIDE * low else (1,)
    return [number for decade in decades for step in steps if low <= (number := step * 10.0**decade) <= high]


def _snr_axis(ax, label) -> None:
    ax.set(xscale="log", xlabel=label)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    low, high = ax.get_xlim()
    ax.set_xticks([tick for tick in (2, 3, 5, 10, 20, 50, 100) if low <= tick <= high])
