"""The figures of the report: each is one function that draws the table of its name.

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
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

__all__ = ["FIGURES", "render"]

# Okabe and Ito's colours, without the yellow that white paper swallows.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
SIZE = (4.8, 4.1)  # inches: on a phone the letters are still as large as those of the text
FEWEST = 3  # sources of which a median is worth a point
WIDE = 30.0  # ratio of the ends of an axis beyond which its ticks are powers of ten
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


def completeness(table: QTable, styles: Styles) -> Figure:
    """Completeness against the true S/N.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    return _shares(table, styles, "True S/N", "Completeness")


def reliability(table: QTable, styles: Styles) -> Figure:
    """Reliability against the measured S/N.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    return _shares(table, styles, "Measured S/N", "Reliability")


def purity_completeness(table: QTable, styles: Styles) -> Figure:
    """Reliability against completeness; the marker is the finder as it was run.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
    for label, part in _finders(table):
        style = styles[label]
        ax.plot(part["completeness"], part["reliability"], color=style["color"], linestyle=style["linestyle"])
        ax.plot(part["completeness"][-1:], part["reliability"][-1:], label=label, **style)
    lowest = float(np.nanmin(table["reliability"]))
    ax.set(xlabel="Completeness", ylabel="Reliability", xlim=(0, 1.02), ylim=(min(max(lowest - 0.05, 0), 0.8), 1.01))
    return _finished(figure, ax)


def flux_ratio(table: QTable, styles: Styles) -> Figure:
    """Measured over true flux: median, and the middle 68 % of the sources.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
    ax.axhline(1, color="0.6", linewidth=0.8)
    _medians(ax, table, styles)
    highest = float(np.nanquantile(table["high"].value, 0.95)) if len(table) else 2.0
    ax.set(ylabel="Flux, measured / true", ylim=(0, max(2.0, min(1.2 * highest, 5.0))))
    return _finished(figure, ax)


def position_error(table: QTable, styles: Styles) -> Figure:
    """Distance from the true position: median, and the middle 68 % of the sources.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
    _medians(ax, table, styles)
    ax.set(ylabel=f"Distance from the truth ({table['median'].unit})")
    ax.set_ylim(bottom=0)
    return _finished(figure, ax)


def pixels(table: QTable, styles: Styles) -> Figure:
    """Pixel scores with their intervals.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
    names = list(dict.fromkeys(table["score"]))
    for label, part in _finders(table):
        x = np.arange(len(part)) + _offset(label, styles)
        errors = np.maximum([part["value"] - part["low"], part["high"] - part["value"]], 0)
        ax.errorbar(
            x, part["value"], np.nan_to_num(errors), label=label, capsize=2, **styles[label] | {"linestyle": ""}
        )
    ax.set_xticks(range(len(names)), [{"f1": "F1 (Dice)", "iou": "IoU"}.get(name, name) for name in names])
    ax.set(ylabel="Share of pixels", ylim=(0, 1.02))
    return _finished(figure, ax)


def seconds(table: QTable, styles: Styles) -> Figure:
    """Time of each finder per million pixels, a marker an image.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
    for label, part in _finders(table):
        speed = part["seconds"].value / part["megapixels"]
        ax.plot(speed, np.full(len(part), list(styles).index(label)), **styles[label] | {"linestyle": ""})
    ax.set_yticks(range(len(styles)), list(styles), parse_math=False)
    ax.set(xlabel="Seconds per megapixel", xscale="log", ylim=(len(styles) - 0.5, -0.5))
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < WIDE * low else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(visible=True, axis="x", color="0.9")
    return figure


def consensus(table: QTable, styles: Styles) -> Figure:  # noqa: ARG001 - as the others
    """Detections of each finder, by how many of the others have them too.

    Parameters
    ----------
    table : `~astropy.table.QTable`
    styles : dict
    """
    figure, ax = _new()
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
    return _finished(figure, ax)


#: Name of a table of curves -> the function that draws it.
FIGURES: dict[str, Callable[[QTable, Styles], Figure]] = {
    function.__name__: function
    for function in (
        completeness,
        reliability,
        purity_completeness,
        flux_ratio,
        position_error,
        pixels,
        consensus,
        seconds,
    )
}


def _new() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    ax.grid(visible=True, color="0.92")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _finished(figure, ax) -> Figure:
    """The legend goes above the axes, where no curve can be."""
    handles, labels = ax.get_legend_handles_labels()
    columns = 3 if max(map(len, labels), default=0) < 14 else 2
    legend = figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize="small")
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


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


def _shares(table, styles, xlabel, ylabel) -> Figure:
    figure, ax = _new()
    for label, part in _finders(table[table["trials"] > 0]):
        errors = np.maximum([part["share"] - part["low"], part["high"] - part["share"]], 0)
        _bars(ax, _middles(part, label, styles), np.asarray(part["share"]), errors, label, styles)
    ax.set(ylabel=ylabel, ylim=(0, 1.03))
    _snr_axis(ax, xlabel)
    return _finished(figure, ax)


def _medians(ax, table, styles) -> None:
    for label, part in _finders(table[table["n"] >= FEWEST]):
        middle, low, high = (part[name].value for name in ("median", "low", "high"))
        _bars(ax, _middles(part, label, styles), middle, np.maximum([middle - low, high - middle], 0), label, styles)
    _snr_axis(ax, "True S/N")


def _bars(ax, x, y, errors, label, styles) -> None:
    ax.errorbar(x, y, errors, label=label, markersize=5, linewidth=1.4, elinewidth=0.7, **styles[label])


def _snr_axis(ax, label) -> None:
    ax.set(xscale="log", xlabel=label)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    low, high = ax.get_xlim()
    ax.set_xticks([tick for tick in (2, 3, 5, 10, 20, 50, 100) if low <= tick <= high])
