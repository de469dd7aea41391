"""``astroseg train continunet``."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg_networks.continunet import ContinUNet
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.patch_task import DATA, ContinUNetTask

__all__ = ["ContinUNetTrainer"]

NORMALISATION = "(image - minimum) / (maximum - minimum)"


class ContinUNetTrainer(NetworkTrainer[Any]):
    """Trains ContinUNet on simulated radio skies of 256 x 256 pixels.

    Parameters
    ----------
    steps : int
        Length of the training.
    batch : int
        Skies in a step.
    rate : float
        Largest learning rate.
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
    start : str
        Weights to begin with, ``.safetensors``; none to begin anew.
    """

    name = "continunet"

    def __init__(
        self,
        *,
        steps: Annotated[int, Ge(1)] = 1000,
        batch: Annotated[int, Ge(1)] = 4,
        rate: Annotated[float, Gt(0)] = 1e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 250,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        start: str | None = None,
    ) -> None:
        self.steps = steps
        self.batch = batch
        self.rate = rate
        self.seed = seed
        self.every = every
        self.patience = patience
        self.workers = workers
        self.device = device
        self.start = start

    @staticmethod
    def build(arguments: dict[str, Any]) -> ContinUNet:
        """The network, with weights drawn at random."""
        return ContinUNet(**arguments)

    def task(self, network: Any) -> ContinUNetTask:
        """The network, and simulated skies."""
        return ContinUNetTask(network)

    def facts(self, task: Any) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {"normalisation": NORMALISATION, "calibration": {}, "data": DATA}

    def example(self, task: Any) -> np.ndarray:
        """Two skies, higher than wide."""
        return np.stack([truth["image"][:, :, :-16] for truth in task.unseen[:2]])
