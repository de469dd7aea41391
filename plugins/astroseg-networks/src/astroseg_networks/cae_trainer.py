"""``astroseg train cae``."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg_networks.cae import CAE
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.patch_task import DATA, NORMALISATION, PatchTask

__all__ = ["CAETrainer"]


class CAETrainer(NetworkTrainer[Any]):
    """Trains the convolutional autoencoder on patches of simulated radio skies.

    Parameters
    ----------
    steps : int
        Length of the training.
    batch : int
        Skies in a step.
    patches : int
        From each sky.
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

    name = "cae"

    def __init__(
        self,
        *,
        steps: Annotated[int, Ge(1)] = 900,
        batch: Annotated[int, Ge(1)] = 2,
        patches: Annotated[int, Ge(2)] = 6,
        rate: Annotated[float, Gt(0)] = 2e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 300,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        start: str | None = None,
    ) -> None:
        self.steps = steps
        self.batch = batch
        self.patches = patches
        self.rate = rate
        self.seed = seed
        self.every = every
        self.patience = patience
        self.workers = workers
        self.device = device
        self.start = start

    @staticmethod
    def build(arguments: dict[str, Any]) -> CAE:
        """The network, with weights drawn at random."""
        return CAE(**arguments)

    def task(self, network: Any) -> PatchTask:
        """The network, and patches of simulated skies."""
        return PatchTask(network, self.patches)

    def facts(self, task: Any) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {"normalisation": NORMALISATION, "calibration": {}, "data": DATA}

    def example(self, task: Any) -> np.ndarray:
        """The patches of a sky."""
        return task.unseen[0]["image"][:, np.newaxis]
