"""Pictures of what a network makes of skies that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astroseg.output import write_all

__all__ = ["save_pictures"]

Arrays = Mapping[str, np.ndarray]


def save_pictures(path: Path, answers: Sequence[Arrays], truths: Sequence[Arrays]) -> None:
    """Write a PNG with a row for each patch: image, truth, segmentation, centres.

    Parameters
    ----------
    path : `~pathlib.Path`
    answers : sequence of dict
        ``segmentation`` and ``centre``: logits, shape (1, ny, nx).
    truths : sequence of dict
        ``image``, ``segmentation`` and ``centre``; see `astroseg_networks.targets.source_targets`.
    """
    figure = Figure(figsize=(12, 3 * len(truths)), layout="constrained")
    axes = figure.subplots(len(truths), 4, squeeze=False)
    for row, answer, truth in zip(axes, answers, truths, strict=True):
        _draw(row, answer, truth)
    for axis, title in zip(axes[0], ("image", "truth", "segmentation", "centres"), strict=True):
        axis.set_title(title)
    write_all({path: lambda part: figure.savefig(part, format="png", dpi=100)})


def _draw(axes, answer, truth) -> None:
    rows, columns = np.nonzero(truth["centre"][0] == 1)
    axes[0].imshow(truth["image"][0], origin="lower", cmap="gray", vmin=-1, vmax=4)
    found = (1 / (1 + np.exp(-answer[name])) for name in ("segmentation", "centre"))
    for axis, values in zip(axes[1:], (truth["segmentation"], *found), strict=True):
        axis.imshow(values[0], origin="lower", cmap="magma", vmin=0, vmax=1)
        axis.plot(columns, rows, "+", color="deepskyblue", markersize=4, markeredgewidth=0.6)
    for axis in axes:
        axis.set_axis_off()
