"""``astroseg train vae``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg.errors import UsageError
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.patch_task import DATA, NORMALISATION, MaskTask, PriorTask, VAETask
from astroseg_networks.vae import VAE

__all__ = ["VAETrainer"]

MODES = {"image": VAETask, "masks": MaskTask, "prior": PriorTask}


class VAETrainer(NetworkTrainer[Any]):
    """Trains the variational autoencoder on patches of simulated radio skies.

    Parameters
    ----------
    mode : str
        ``image``: encoder and decoder at once. ``prior``: an encoder for a decoder that has learnt on masks alone,
        which ``masks`` does before; its weights are the ``start`` of ``prior``, and find nothing themselves.
    start : str
        Weights to begin with, ``.safetensors``; none to begin anew.
    beta : float
        Weight of the divergence of the latent vector from a standard normal; at 1 the loss is the evidence lower bound.
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
    """

    name = "vae"

    def __init__(
        self,
        *,
        mode: Literal["image", "masks", "prior"] = "image",
        start: str | None = None,
        beta: Annotated[float, Gt(0)] = 0.1,
        steps: Annotated[int, Ge(1)] = 2400,
        batch: Annotated[int, Ge(1)] = 2,
        patches: Annotated[int, Ge(2)] = 64,
        rate: Annotated[float, Gt(0)] = 3e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 600,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
    ) -> None:
        self.mode = mode
        self.start = start
        self.beta = beta
        self.steps = steps
        self.batch = batch
        self.patches = patches
        self.rate = rate
        self.seed = seed
        self.every = every
        self.patience = patience
        self.workers = workers
        self.device = device

    def validate(self) -> None:
        """Check all values."""
        super().validate()
        if self.mode == "prior" and self.start is None:
            msg = "mode=prior needs the weights of a training with mode=masks: give them as start."
            raise UsageError(msg)

    @staticmethod
    def build(arguments: dict[str, Any]) -> VAE:
        """The network, with weights drawn at random."""
        return VAE(**arguments)

    def task(self, network: Any) -> VAETask:
        """The network, and patches of simulated skies."""
        return MODES[self.mode](network, self.patches, self.beta)

    def facts(self, task: Any) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {"normalisation": NORMALISATION, "calibration": {}, "data": DATA}

    def example(self, task: Any) -> np.ndarray:
        """The patches of a sky, and their noise."""
        return task.unseen[0]["image"].reshape(-1, 2, VAE.size, VAE.size)
