"""``astroseg train unrolled``."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg_networks.dirty_skies import SimulatedSkies
from astroseg_networks.dirty_units import STAGES
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.own_files import paths_of
from astroseg_networks.own_pairs import OwnPairs, check_pairs, check_size
from astroseg_networks.restoration_task import UnrolledTask
from astroseg_networks.unrolled import Unrolled

__all__ = ["UnrolledTrainer"]

STRIDE = 32  # sides of maps to train on are multiples of it

NORMALISATION = "divided by the largest absolute value of the dirty map"


class UnrolledTrainer(NetworkTrainer[UnrolledTask]):
    """Trains the network that improves a model of the sky step by step, on simulations or on your own dirty maps.

    Parameters
    ----------
    steps : int
        Length of the training.
    batch : int
        Maps in a step; of several GPUs each one has as many.
    size : int, pixels
        Side of the maps, a multiple of 32.
    radio : float
        Share of radio fields in the simulations; the others are flares.
    balanced : bool
        Simulate as many flares of two and of three sources as of one, and not nine in ten of one.
    narrowest, widest : float, pixels
        Full widths at half maximum of the restoring beams in the simulations.
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
    images : str
        Dirty maps, or files of visibilities, to train on, separated by commas; none for simulations.
    targets : str
        Of each dirty map the restored one, separated by commas; none to make them by CLEAN.
    start : str
        Weights to begin with: a name that ships with the package, or ``.safetensors``; none to begin anew.
    """

    name = "unrolled"

    def __init__(
        self,
        *,
        steps: Annotated[int, Ge(1)] = 5000,
        batch: Annotated[int, Ge(1)] = 8,
        size: Annotated[int, Interval(ge=32, le=1024)] = 64,
        radio: Annotated[float, Interval(ge=0, le=1)] = 0.3,
        balanced: bool = True,
        narrowest: Annotated[float, Ge(1)] = 2.5,
        widest: Annotated[float, Ge(1)] = 9.0,
        rate: Annotated[float, Gt(0)] = 2e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 500,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        images: str | None = None,
        targets: str | None = None,
        start: str | None = None,
    ) -> None:
        self.steps = steps
        self.batch = batch
        self.size = size
        self.radio = radio
        self.balanced = balanced
        self.narrowest = narrowest
        self.widest = widest
        self.rate = rate
        self.seed = seed
        self.every = every
        self.patience = patience
        self.workers = workers
        self.device = device
        self.images = images
        self.targets = targets
        self.start = start

    def validate(self) -> None:
        """Check all values."""
        super().validate()
        check_pairs(self.images, self.targets)
        check_size(self.size, STRIDE)

    @staticmethod
    def build(arguments: dict[str, Any]) -> Unrolled:
        """The network, with weights drawn at random."""
        return Unrolled(**arguments)

    def task(self, network: Unrolled) -> UnrolledTask:
        """The network, and simulated skies or the user's own."""
        if self.images:
            return UnrolledTask(network, OwnPairs(paths_of(self.images), paths_of(self.targets), self.size))
        beams = (self.narrowest, self.widest)
        return UnrolledTask(network, SimulatedSkies(self.size, self.radio, self.balanced, beams))

    def facts(self, task: UnrolledTask) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {
            "normalisation": NORMALISATION,
            "calibration": {} if self.images else {"beams": [self.narrowest, self.widest]},
            "stages": STAGES,
            "data": f"the maps {self.images}" if self.images else "simulated, astroseg_networks.dirty_skies",
        }

    def example(self, task: UnrolledTask) -> np.ndarray:
        """Two maps, higher than wide."""
        image = task.unseen[0]["image"][:, :, : -Unrolled.stride]
        return np.stack([image, image])
