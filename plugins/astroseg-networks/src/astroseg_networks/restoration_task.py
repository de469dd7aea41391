"""What the networks that restore are trained on and for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from astroseg.output import write_all
from astroseg_networks.dirty_examples import as_example, convolved, restoration_losses
from astroseg_networks.dirty_skies import DirtySky
from astroseg_networks.dirty_units import STAGES
from astroseg_networks.image_pairs import Scale
from astroseg_networks.pix2pix import Adversaries
from astroseg_networks.unrolled import Unrolled

__all__ = ["Pix2PixTask", "Skies", "UnrolledTask"]

Arrays = dict[str, np.ndarray]
Tensors = Mapping[str, torch.Tensor]

UNSEEN = 60  # skies to validate on
SHOWN = 6
CONSISTENCY = 0.05  # weight of what is left unexplained


class Skies(Protocol):
    """Dirty maps with their truth."""

    def draw(self, rng: np.random.Generator) -> DirtySky:
        """One to train on."""

    def unseen(self, count: int) -> list[DirtySky]:
        """At most so many to validate on, always the same."""


class _RestorationTask:
    """Models of the sky behind dirty maps.

    A subclass says what the network takes (`planes`) and makes models of it (`models`).
    """

    network: nn.Module

    def __init__(self, skies: Skies, scale: Scale | None = None) -> None:
        self.skies = skies
        self.scale = scale

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One dirty map, with its truth."""
        return self.example(self.skies.draw(rng))

    def example(self, sky: DirtySky) -> Arrays:
        """One dirty map as the network takes it, with its truth."""
        arrays = as_example(sky, self.scale)
        return {"image": self.planes(arrays), **arrays}

    def planes(self, arrays: Arrays) -> np.ndarray:
        """Input of the network, float32 of shape (planes, ny, nx)."""
        raise NotImplementedError

    def models(self, answer: Mapping[str, torch.Tensor], batch: Tensors) -> list[torch.Tensor]:
        """Models, each better than the one before, from the first answer of the network."""
        raise NotImplementedError

    @cached_property
    def unseen(self) -> list[Arrays]:
        """The examples to validate on."""
        return [self.example(sky) for sky in self.skies.unseen(UNSEEN)]

    def scores(self, folder: Path) -> dict[str, float]:
        """Mean errors on skies that training never draws, and what the models leave unexplained.

        ``accuracy`` is 1 less the root mean square error over that of an empty map, ``error`` the mean absolute one
        over that, ``left`` the root mean square of the residual map over the noise.
        """
        device = next(self.network.parameters()).device
        rows, shown = [], []
        for arrays in self.unseen:
            batch = {name: torch.from_numpy(values[np.newaxis]).to(device) for name, values in arrays.items()}
            with torch.inference_mode():
                model = self.models(self.network(batch["image"]), batch)[-1]
                restored = convolved(model, batch["beam"])
                losses = restoration_losses(restored, batch["truth"])
                residual = batch["dirty"] - convolved(model, batch["psf"])
            unexplained = residual.square().mean().sqrt() / batch["noise"].squeeze()
            rows.append([1 - losses["rms"].item(), losses["l1"].item(), unexplained.item()])
            shown.append([batch["dirty"], batch["truth"], restored, residual])
        _save_pictures(folder / "examples.png", shown[:SHOWN])
        accuracy, error = np.mean(rows, axis=0)[:2]
        return {"accuracy": accuracy, "error": error, "left": float(np.median(rows, axis=0)[2])}


class UnrolledTask(_RestorationTask):
    """A network that is run a few times, with what is left unexplained computed in between.

    Parameters
    ----------
    network : `~astroseg_networks.unrolled.Unrolled`
    skies : Skies
    """

    def __init__(self, network: Unrolled, skies: Skies) -> None:
        super().__init__(skies)
        self.network = network

    def planes(self, arrays: Arrays) -> np.ndarray:
        """Residual map of an empty model, that model, dirty map."""
        dirty = arrays["dirty"]
        return np.concatenate([dirty, np.zeros_like(dirty), dirty])

    def models(self, answer: Mapping[str, torch.Tensor], batch: Tensors) -> list[torch.Tensor]:
        """The model after each time."""
        models = [answer["model"]]
        while len(models) < STAGES:
            residual = batch["dirty"] - convolved(models[-1], batch["psf"])
            image = torch.cat([residual, models[-1], batch["dirty"]], dim=1)
            models.append(self.network(image)["model"])
        return models

    def losses(self, answer: Mapping[str, torch.Tensor], batch: Tensors) -> dict[str, torch.Tensor]:
        """Errors, and what is left unexplained; mean over the models."""
        rows = [self._terms(model, batch) for model in self.models(answer, batch)]
        return {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]}

    @staticmethod
    def _terms(model, batch) -> dict[str, torch.Tensor]:
        residual = batch["dirty"] - convolved(model, batch["psf"])
        unexplained = torch.sqrt(residual.square().mean((1, 2, 3))) / batch["noise"][:, 0]
        terms = restoration_losses(convolved(model, batch["beam"]), batch["truth"])
        # Of maps whose noise isn't known it is not asked.
        return {**terms, "unexplained": CONSISTENCY * torch.log1p(torch.nan_to_num(unexplained, nan=0.0)).mean()}


class Pix2PixTask(_RestorationTask):
    """A translation that looks true to a judge who learns at the same time.

    Parameters
    ----------
    network : `~astroseg_networks.pix2pix.Adversaries`
    skies : Skies
    adversarial : float
        Weight of the judge's opinion; 0 for none.
    published : bool
        The other term is the mean absolute error alone, as published.
    scale : `~astroseg_networks.image_pairs.Scale`, optional
        By default each map has its own.

    Notes
    -----
    Isola et al. 2017, arXiv:1611.07004, eq. 4, divided by its weight of 100. Generator and discriminator make their
    steps at the same time, and not by turns.
    """

    def __init__(
        self, network: Adversaries, skies: Skies, *, adversarial: float, published: bool, scale: Scale | None = None
    ) -> None:
        super().__init__(skies, scale)
        self.network: Any = network
        self.adversarial = adversarial
        self.published = published

    def planes(self, arrays: Arrays) -> np.ndarray:
        """Dirty map and dirty beam."""
        dirty, psf = arrays["dirty"], arrays["psf"]
        ny, nx = dirty.shape[1:]
        beam = np.roll(psf, (ny // 2, nx // 2), (1, 2))[:, :ny, :nx]
        return np.concatenate([dirty, beam])

    def models(self, answer: Mapping[str, torch.Tensor], batch: Tensors) -> list[torch.Tensor]:
        """The one model."""
        return [answer["model"]]

    def losses(self, answer: Mapping[str, torch.Tensor], batch: Tensors) -> dict[str, torch.Tensor]:
        """Errors; what the judge thinks of the answer; how wrong the judge is."""
        restored, truth = convolved(answer["model"], batch["beam"]), batch["truth"]
        terms = {"l1": (restored - truth).abs().mean()} if self.published else restoration_losses(restored, truth)
        if self.adversarial:
            fixed = {name: values.detach() for name, values in self.network.discriminator.named_parameters()}
            opinion = torch.func.functional_call(self.network.discriminator, fixed, (batch["dirty"], restored))
            terms["adversarial"] = self.adversarial * _wrong(opinion, true=True)
            judge = self.network.discriminator
            both = _wrong(judge(batch["dirty"], truth), true=True) + _wrong(
                judge(batch["dirty"], restored.detach()), true=False
            )
            terms["judge"] = both / 2
        return terms


def _wrong(logits: torch.Tensor, *, true: bool) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(true)))


def _save_pictures(path: Path, rows) -> None:
    """Write a PNG with a row for each sky: dirty map, truth, restored map, what is left unexplained."""
    figure = Figure(figsize=(12, 3 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for row, maps in zip(axes, rows, strict=True):
        for axis, values in zip(row, maps, strict=True):
            axis.imshow(values[0, 0].float().cpu().numpy(), origin="lower", cmap="magma")
            axis.set_axis_off()
    for axis, title in zip(axes[0], ("dirty", "truth", "restored", "residual"), strict=True):
        axis.set_title(title)
    write_all({path: lambda part: figure.savefig(part, format="png", dpi=80)})
