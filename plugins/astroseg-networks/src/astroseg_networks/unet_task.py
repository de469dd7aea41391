"""What the U-Net is trained on and for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from astroseg_networks.calibration import fit_calibration, fit_rarity
from astroseg_networks.losses import centre_loss, gaussian_loss, segmentation_loss, weighted_mean
from astroseg_networks.normalisation import beam_area, beam_of
from astroseg_networks.pictures import save_pictures
from astroseg_networks.skies import draw_noise, draw_sky
from astroseg_networks.unet import UNet
from astroseg_networks.validation import dice, match_centres

__all__ = ["Examples", "SimulatedSkies", "UNetTask"]

Arrays = dict[str, np.ndarray]


UNSEEN = 32  # patches to validate on
SHOWN = 4
CALIBRATING = 256
NOISE, NOISE_SIZE = 64, 512  # skies of noise, and their side in pixels
KNOTS = 24


class Examples(Protocol):
    """Patches of sky with all their answers."""

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One patch to train on."""

    def unseen(self, count: int) -> list[Arrays]:
        """At most so many patches to validate on, always the same."""


class SimulatedSkies:
    """Patches of simulated skies.

    Parameters
    ----------
    size : int, pixels
        Side of the patches, a multiple of 16.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One patch of sky; see `astroseg_networks.skies.draw_sky`."""
        return draw_sky(rng, self.size)

    def unseen(self, count: int) -> list[Arrays]:
        """Patches that no training draws: its seeds have two numbers."""
        return [draw_sky(np.random.default_rng([0, index, 1]), self.size) for index in range(count)]


class UNetTask:
    """The U-Net, and patches of sky with all their answers.

    Parameters
    ----------
    network : `~astroseg_networks.unet.UNet`
    examples : Examples
    """

    def __init__(self, network: UNet, examples: Examples) -> None:
        self.network = network
        self.examples = examples

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One patch of sky; see `astroseg_networks.targets.source_targets`."""
        return self.examples.draw(rng)

    def losses(self, answer: Mapping[str, torch.Tensor], batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Terms of the loss."""
        seen = batch["weight"]
        distance = torch.linalg.vector_norm(answer["vote"] - batch["vote"], dim=1, keepdim=True)
        # A pixel far from its centre is allowed to be proportionally less exact.
        reach = 1 + 0.25 * torch.linalg.vector_norm(batch["vote"], dim=1, keepdim=True)
        reference = torch.asinh(torch.sinh(batch["image"][:, :1]) / 2)
        log_flux = answer["log_flux"][:, :1] + reference
        flux, major, minor = (batch["shape"][:, index : index + 1] for index in range(3))
        at_source = batch["shape_weight"]
        angle = functional.mse_loss(answer["angle"], batch["shape"][:, 3:5], reduction="none").sum(dim=1, keepdim=True)
        return {
            "segmentation": segmentation_loss(answer["segmentation"], batch["segmentation"], seen),
            "centre": centre_loss(answer["centre"], batch["centre"], seen),
            "vote": weighted_mean(distance / reach, batch["vote_weight"]),
            "flux": 0.3 * gaussian_loss(log_flux, answer["log_flux"][:, 1:], flux, at_source),
            "major": 0.2 * gaussian_loss(answer["log_major"][:, :1], answer["log_major"][:, 1:], major, at_source),
            "minor": 0.2 * gaussian_loss(answer["log_minor"][:, :1], answer["log_minor"][:, 1:], minor, at_source),
            "angle": 0.3 * weighted_mean(angle, batch["angle_weight"]),
        }

    def scores(self, folder: Path) -> dict[str, float]:
        """F1 of the centres, and Dice coefficient of the segmentation, on patches that training never draws."""
        answers = [self.answer(truth["image"]) for truth in self.unseen]
        save_pictures(folder / "examples.png", answers[:SHOWN], self.unseen[:SHOWN])
        return {"f1": match_centres(answers, self.unseen).f1, "dice": dice(answers, self.unseen)}

    @cached_property
    def unseen(self) -> list[Arrays]:
        """The patches to validate on."""
        return self.examples.unseen(UNSEEN)

    def answer(self, image: np.ndarray) -> Arrays:
        """The maps of one patch."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            maps = self.network(torch.from_numpy(image)[None].to(device))
        return {name: values[0].cpu().numpy() for name, values in maps.items()}

    def calibration(self) -> dict[str, list[float]] | None:
        """How probable a source is by the height of its peak, on patches that training never draws.

        None where they hold too few peaks to tell.
        """
        truths = self.examples.unseen(CALIBRATING)
        matches = match_centres([self.answer(truth["image"]) for truth in truths], truths)
        if matches.score.size < 16 * KNOTS:
            return None
        fitted = fit_calibration(matches.score, matches.real, KNOTS)
        return {**fitted, "rarity": fit_rarity(*self._noise(), fitted["score"])}

    def _noise(self) -> tuple[np.ndarray, float]:
        """Logits of the peaks in skies without sources, and how many beams these have."""
        skies = [draw_noise(np.random.default_rng([0, index, 2]), NOISE_SIZE) for index in range(NOISE)]
        beams = sum(np.count_nonzero(sky["weight"]) / beam_area(beam_of(sky["image"])) for sky in skies)
        return match_centres([self.answer(sky["image"]) for sky in skies], skies).score, beams
