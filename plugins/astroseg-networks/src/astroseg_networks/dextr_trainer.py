"""``astroseg train dextr``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg.errors import UsageError
from astroseg_networks.dextr import DEXTR
from astroseg_networks.dextr_examples import SimulatedObjects
from astroseg_networks.dextr_input import FORMS
from astroseg_networks.dextr_task import DEXTRTask
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.own_files import check_own, paths_of
from astroseg_networks.own_objects import OwnObjects

__all__ = ["DEXTRTrainer"]

NORMALISATION = "arcsinh of (image - median) / noise of the surroundings, and the image between two of its percentiles"


class DEXTRTrainer(NetworkTrainer[DEXTRTask]):
    """Trains the network that outlines an object from its extreme points, on simulated objects or on your own.

    Parameters
    ----------
    steps : int
        Length of the training.
    batch : int
        Objects in a step; of several GPUs each one has as many.
    channels : int
        Images of each object, as with ``--channel``.
    form : str
        How the network is asked: ``light``, or ``published``, that of Maninis et al. 2018.
    size : int
        Side of the network's input while it trains; none for that of the form. A coarser one is faster, to begin with.
    rate : float
        Largest learning rate. A tenth of the default is enough to fine-tune.
    seed : int
        The same seed draws the same objects.
    every : int
        Steps between two checkpoints, each with its scores.
    patience : int
        Stop after so many checkpoints without a better score; 0 for never.
    workers : int
        Processes that draw objects; none for as many as the device wants.
    device : str
        ``auto`` (all GPUs, where there are any), ``cpu``, ``cuda`` or ``cuda:N``.
    images : str
        Images to train on, separated by commas; none for simulated objects.
    truths : str
        Of each image its masks or polygons, separated by commas.
    start : str
        Weights to begin with: a name that ships with the package, or ``.safetensors``; none to begin anew.
    """

    name = "dextr"

    def __init__(
        self,
        *,
        steps: Annotated[int, Ge(1)] = 3000,
        batch: Annotated[int, Ge(2)] = 8,
        channels: Annotated[int, Interval(ge=1, le=64)] = 1,
        form: Literal["light", "published"] = "light",
        size: Annotated[int | None, Interval(ge=64, le=1024)] = None,
        rate: Annotated[float, Gt(0)] = 2e-3,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 250,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        images: str | None = None,
        truths: str | None = None,
        start: str | None = None,
    ) -> None:
        self.steps = steps
        self.batch = batch
        self.channels = channels
        self.form = form
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

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return {"channels": self.channels}

    def validate(self) -> None:
        """Check all values."""
        super().validate()
        check_own(self.images, self.truths)
        if self.size is not None and self.size % DEXTR.stride:
            msg = f"The size must be a multiple of {DEXTR.stride}, not {self.size}."
            raise UsageError(msg)
        if self.images and self.channels > 1:
            msg = "Own images are trained on one by one: leave channels at 1."
            raise UsageError(msg)

    @staticmethod
    def build(arguments: dict[str, Any]) -> DEXTR:
        """The network, with weights drawn at random."""
        return DEXTR(**arguments)

    def task(self, network: DEXTR) -> DEXTRTask:
        """The network, and simulated objects or the user's own."""
        form, images = FORMS[self.form].of_size(self.size), paths_of(self.images)
        objects = OwnObjects(images, paths_of(self.truths), form) if images else SimulatedObjects(form, self.channels)
        return DEXTRTask(network, objects, form)

    def facts(self, task: DEXTRTask) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {
            "normalisation": NORMALISATION,
            "calibration": {},
            "form": self.form,
            "data": f"the images {self.images}" if self.images else "simulated, astroseg_networks.irregular_scenes",
        }

    def example(self, task: DEXTRTask) -> np.ndarray:
        """Two objects, higher than wide."""
        images = [truth["image"][:, :, : -DEXTR.stride] for truth in task.unseen[:2]]
        return np.stack((2 * images)[:2])
