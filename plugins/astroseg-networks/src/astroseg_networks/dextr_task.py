"""What dextr is trained on and for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn import functional

from astroseg.output import write_all
from astroseg_networks.dextr import DEXTR
from astroseg_networks.dextr_input import Form
from astroseg_networks.losses import weighted_mean
from astroseg_networks.patches import logistic

__all__ = ["DEXTRTask", "Objects", "balanced_loss", "object_loss", "overlap"]

Arrays = dict[str, np.ndarray]

UNSEEN = 90  # objects to validate on
SHOWN = 6
TOGETHER = 6  # objects in a batch of the validation


class Objects(Protocol):
    """Objects with all their answers."""

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One to train on; see `astroseg_networks.dextr_examples.make_example`."""

    def unseen(self, count: int) -> list[Arrays]:
        """At most so many to validate on, always the same."""


class DEXTRTask:
    """The mask of one object.

    Parameters
    ----------
    network : `~astroseg_networks.dextr.DEXTR`
    objects : Objects
    form : Form
    """

    def __init__(self, network: DEXTR, objects: Objects, form: Form) -> None:
        self.network: torch.nn.Module = network
        self.objects = objects
        self.form = form

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One object."""
        return self.objects.draw(rng)

    def losses(self, answer: Mapping[str, torch.Tensor], batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Terms of the loss."""
        loss = balanced_loss if self.form.balanced else object_loss
        return {"segmentation": loss(answer["segmentation"], batch["segmentation"], batch["weight"])}

    def scores(self, folder: Path) -> dict[str, float]:
        """Mean overlap with objects that training never draws."""
        answers = self.answers()
        _save_pictures(folder / "examples.png", answers[:SHOWN], self.unseen[:SHOWN])
        pairs = zip(answers, self.unseen, strict=True)
        overlaps = [overlap(answer > self.form.threshold, truth["segmentation"][0] >= 0.5) for answer, truth in pairs]
        return {"iou": float(np.mean(overlaps)), "poor": float(np.mean(np.less(overlaps, 0.5)))}

    @cached_property
    def unseen(self) -> list[Arrays]:
        """The objects to validate on."""
        return self.objects.unseen(UNSEEN)

    def answers(self) -> list[np.ndarray]:
        """Probabilities of the unseen objects, shape (size, size)."""
        device = next(self.network.parameters()).device
        found: list[np.ndarray] = []
        for first in range(0, len(self.unseen), TOGETHER):
            batch = np.stack([truth["image"] for truth in self.unseen[first : first + TOGETHER]])
            with torch.inference_mode():
                logits = self.network(torch.from_numpy(batch).to(device))["segmentation"]
            found += list(logistic(logits[:, 0].cpu().numpy()))
        return found


def object_loss(logit: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross entropy, and 1 less the mean over the objects of their overlap (Rahman & Wang 2016, ISVC, eq. 2-4).

    Each object counts the same, a thin line in a wide crop as much as a blob that fills it.
    """
    entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    inside, probability = (target >= 0.5).float() * weight, torch.sigmoid(logit) * weight
    both = (probability * inside).sum(dim=(1, 2, 3))
    either = (probability + inside).sum(dim=(1, 2, 3)) - both
    return weighted_mean(entropy, weight) + 1 - ((both + 1) / (either + 1)).mean()


def balanced_loss(logit: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross entropy in which object and surroundings weigh the same (Xie & Tu 2015, arXiv:1504.06375, eq. 2).

    Maninis et al. 2018 (arXiv:1711.09081, section 3) sum it over the pixels; this is the mean.
    """
    entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none") * weight
    share = (target * weight).sum(dim=(1, 2, 3), keepdim=True) / weight.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
    return (entropy * (target * (1 - share) + (1 - target) * share)).sum() / weight.sum().clamp_min(1)


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    either = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / either if either else 1.0


def _save_pictures(path: Path, answers, truths) -> None:
    """Write a PNG with a row for each object: image, points, truth, probability."""
    figure = Figure(figsize=(12, 3 * len(truths)), layout="constrained")
    axes = figure.subplots(len(truths), 4, squeeze=False)
    for row, answer, truth in zip(axes, answers, truths, strict=True):
        planes = truth["image"]
        row[0].imshow(planes[1], origin="lower", cmap="gray")
        row[0].contour(truth["segmentation"][0], [0.5], colors="deepskyblue", linewidths=0.8)
        for axis, values in zip(row[1:], (planes[-4], truth["segmentation"][0], answer), strict=True):
            axis.imshow(values, origin="lower", cmap="magma", vmin=0, vmax=1)
        for axis in row:
            axis.set_axis_off()
    for axis, title in zip(axes[0], ("image and truth", "points", "truth", "answer"), strict=True):
        axis.set_title(title)
    write_all({path: lambda part: figure.savefig(part, format="png", dpi=80)})
