"""``astroseg train unet``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval, Le

from astroseg.errors import AstrosegWarning, UsageError
from astroseg_networks.export import export_int8
from astroseg_networks.history import History
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.normalisation import CANONICAL_BEAM
from astroseg_networks.own_files import check_own, paths_of
from astroseg_networks.own_images import OwnImages
from astroseg_networks.unet import UNet
from astroseg_networks.unet_task import SimulatedSkies, UNetTask

__all__ = ["UNetTrainer"]

RANGED = 8  # pairs of patches, on which the ranges of the features are measured
AS_IT_IS = {"score": [-10.0, 10.0], "logit": [-10.0, 10.0], "rarity": [30.0, 30.0]}  # the network's own word


class UNetTrainer(NetworkTrainer[UNetTask]):
    """Trains the U-Net, on simulated radio skies or on your own images.

    Parameters
    ----------
    steps : int
        Length of the training.
    batch : int
        Examples in a step; of several GPUs each one has as many.
    size : int, pixels
        Side of an example, a multiple of 16, at the sampling on which the network sees an image: about 2.5 pixels to a
        beam.
    rate : float
        Largest learning rate. A tenth of the default is enough to fine-tune.
    seed : int
        The same seed draws the same examples.
    every : int
        Steps between two checkpoints, each with its scores.
    patience : int
        Stop after so many checkpoints without a better score; 0 for never.
    workers : int
        Processes that draw examples; none for as many as the device wants.
    device : str
        ``auto`` (all GPUs, where there are any), ``cpu``, ``cuda`` or ``cuda:N``.
    images : str
        Images to train on, separated by commas; none for simulated skies.
    truths : str
        Of each image the list of its sources, separated by commas.
    start : str
        Weights to begin with: a name that ships with the package, or ``.safetensors``; none to begin anew.
    """

    name = "unet"

    def __init__(
        self,
        *,
        steps: Annotated[int, Ge(1)] = 20000,
        batch: Annotated[int, Ge(1)] = 16,
        size: Annotated[int, Ge(64)] = 256,
        rate: Annotated[float, Gt(0)] = 2e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 500,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        images: str | None = None,
        truths: str | None = None,
        start: str | None = None,
    ) -> None:
        self.steps = steps
        self.batch = batch
        self.size = size
        self.rate = rate
        self.seed = seed
        self.every = every
        self.patience = patience
        self.workers = workers
        self.device = device
        self.images = images
        self.truths = truths
        self.start = start

    def validate(self) -> None:
        """Check all values."""
        super().validate()
        if self.size % UNet.stride:
            msg = f"The option size takes multiples of {UNet.stride}, not {self.size}."
            raise UsageError(msg)
        check_own(self.images, self.truths)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return {"widths": [32, 64, 96, 128], "depths": [1, 1, 2, 2]}

    @staticmethod
    def build(arguments: dict[str, Any]) -> UNet:
        """The network, with weights drawn at random."""
        return UNet(**arguments)

    def task(self, network: UNet) -> UNetTask:
        """The network, and simulated skies or the user's own images."""
        images = paths_of(self.images)
        return UNetTask(
            network, OwnImages(images, paths_of(self.truths), self.size) if images else SimulatedSkies(self.size)
        )

    def facts(self, task: UNetTask) -> dict[str, Any]:
        """What the card says of the U-Net and its data."""
        return {
            "normalisation": f"asinh(image / noise), and a plane with ln(beam / {CANONICAL_BEAM} pixels)",
            **self._calibration(task),
            "data": f"the images {self.images}" if self.images else "simulated radio skies, astroseg_networks.skies",
        }

    def _calibration(self, task: UNetTask) -> dict[str, Any]:
        """The calibration, and where it is from."""
        if fitted := task.calibration():
            return {"calibration": fitted, "calibrated": "on patches that training never draws"}
        if held := self.beginning():
            return {"calibration": held.card["calibration"], "calibrated": f"as the weights {self.start}: few sources"}
        warnings.warn(
            "The patches for validation hold too few sources to calibrate the probabilities, which are those of the "
            "network as it is. Give more images, or begin with weights that are calibrated (start).",
            AstrosegWarning,
            stacklevel=2,
        )
        return {"calibration": AS_IT_IS, "calibrated": "not at all: few sources"}

    def example(self, task: UNetTask) -> np.ndarray:
        """Two patches, higher than wide."""
        return _pairs(task)[0]

    def write(self, network: torch.nn.Module, task: UNetTask, history: History, folder: Path) -> list[Path]:
        """Write the weights, in eight bits, too."""
        master, onnx = super().write(network, task, history, folder)
        return [master, onnx, export_int8(onnx, _pairs(task)[:RANGED])]


def _pairs(task: UNetTask) -> list[np.ndarray]:
    """Pairs of patches, higher than wide."""
    images = [truth["image"][:, :, : -UNet.stride] for truth in task.unseen]
    images = images[: len(images) // 2 * 2] or 2 * images
    return [np.stack(pair) for pair in zip(images[::2], images[1::2], strict=True)]
