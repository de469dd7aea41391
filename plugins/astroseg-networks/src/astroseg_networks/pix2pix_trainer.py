"""``astroseg train pix2pix``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from astroseg_networks.dirty_skies import SimulatedSkies
from astroseg_networks.network_trainer import NetworkTrainer
from astroseg_networks.own_files import paths_of
from astroseg_networks.own_pairs import CleanedSkies, OwnPairs, check_pairs, check_size
from astroseg_networks.pix2pix import LIGHT, PUBLISHED, Adversaries, Discriminator, Generator
from astroseg_networks.restoration_task import Pix2PixTask, Skies
from astroseg_networks.training import Recipe

__all__ = ["Pix2PixTrainer"]


@dataclass(frozen=True)
class _Form:
    """What the options are where they are none."""

    target: Literal["truth", "clean"]
    adversarial: float
    batch: int
    size: int
    rate: float
    arguments: dict[str, Any]
    betas: tuple[float, float]
    judge: int


FORMS = {
    "light": _Form("truth", 0.0, 8, 128, 1e-3, {}, (0.9, 0.999), 24),
    "published": _Form("clean", 0.01, 1, 256, 2e-4, {"widths": PUBLISHED, "normed": 1, "dropped": 3}, (0.5, 0.999), 64),
}
NORMALISATION = "divided by the largest absolute value of the dirty map"


class Pix2PixTrainer(NetworkTrainer[Pix2PixTask]):
    """Trains the network that translates dirty maps into skies, on simulations or on your own dirty maps.

    Parameters
    ----------
    form : str
        ``light``, or ``published``: the network and the training of Isola et al. 2017.
    target : str
        What simulated maps are to become: the ``truth``, or what ``clean`` makes of them; none for that of the form
        (truth, and CLEAN as published). Both at the resolution of the restoring beam.
    adversarial : float
        Weight of the judge's opinion over that of the error; 0 for no judge, none for that of the form (0, and 0.01 as
        published).
    steps : int
        Length of the training.
    batch : int
        Maps in a step; of several GPUs each one has as many. None for that of the form (8, and 1 as published).
    size : int, pixels
        Side of the maps, a multiple of 32; none for that of the form (128, and 256 as published, which takes no other
        than multiples of 256).
    radio : float
        Share of radio fields in the simulations; the others are flares.
    balanced : bool
        Simulate as many flares of two and of three sources as of one, and not nine in ten of one.
    narrowest, widest : float, pixels
        Full widths at half maximum of the restoring beams in the simulations.
    rate : float
        Largest learning rate; none for that of the form (0.001, and 0.0002 as published).
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

    name = "pix2pix"

    def __init__(
        self,
        *,
        form: Literal["light", "published"] = "light",
        target: Literal["truth", "clean"] | None = None,
        adversarial: Annotated[float | None, Interval(ge=0, le=1)] = None,
        steps: Annotated[int, Ge(1)] = 8000,
        batch: Annotated[int | None, Ge(1)] = None,
        size: Annotated[int | None, Interval(ge=32, le=1024)] = None,
        radio: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        balanced: bool = True,
        narrowest: Annotated[float, Ge(1)] = 5.5,
        widest: Annotated[float, Ge(1)] = 9.5,
        rate: Annotated[float | None, Gt(0)] = None,
        seed: Annotated[int, Interval(ge=0, lt=2**31)] = 1,
        every: Annotated[int, Ge(1)] = 500,
        patience: Annotated[int, Ge(0)] = 0,
        workers: Annotated[int | None, Ge(0), Le(1024)] = None,
        device: str = "auto",
        images: str | None = None,
        targets: str | None = None,
        start: str | None = None,
    ) -> None:
        self.form = form
        self.target = target
        self.adversarial = adversarial
        self.steps = steps
        self.batch = batch  # type: ignore[assignment] # `recipe` fills in that of the form
        self.size = size
        self.radio = radio
        self.balanced = balanced
        self.narrowest = narrowest
        self.widest = widest
        self.rate = rate  # type: ignore[assignment]
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
        check_size(self._of_form("size"), 2 ** len(self._form.arguments.get("widths", LIGHT)))

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return FORMS[self.form].arguments

    @staticmethod
    def build(arguments: dict[str, Any]) -> Generator:
        """The network, with weights drawn at random."""
        return Generator(**arguments)

    def recipe(self) -> Recipe:
        """The options that say how long and how fast."""
        return replace(
            super().recipe(), batch=self._of_form("batch"), rate=self._of_form("rate"), betas=self._form.betas
        )

    def task(self, network: Generator) -> Pix2PixTask:
        """The network with its judge, and simulated skies or the user's own."""
        both, skies = Adversaries(network, Discriminator(self._form.judge)), self._skies()
        published = self.form == "published"
        # As published, bright and faint flares differ in the network, too.
        scale = skies.scale if published and isinstance(skies, OwnPairs) else None
        return Pix2PixTask(both, skies, adversarial=self._of_form("adversarial"), published=published, scale=scale)

    def _skies(self) -> Skies:
        size = self._of_form("size")
        if self.images:
            return OwnPairs(paths_of(self.images), paths_of(self.targets), size)
        simulated = SimulatedSkies(size, self.radio, self.balanced, (self.narrowest, self.widest))
        return CleanedSkies(simulated) if self._of_form("target") == "clean" else simulated

    @property
    def _form(self) -> _Form:
        return FORMS[self.form]

    def _of_form(self, name: str) -> Any:
        value = getattr(self, name)
        return getattr(self._form, name) if value is None else value

    def facts(self, task: Pix2PixTask) -> dict[str, Any]:
        """What the card says of the network and its data."""
        return {
            "normalisation": NORMALISATION,
            "calibration": self._calibration(task),
            "form": self.form,
            "target": "the user's" if self.images else self._of_form("target"),
            "adversarial": self._of_form("adversarial"),
            "data": f"the maps {self.images}" if self.images else "simulated, astroseg_networks.dirty_skies",
        }

    def _calibration(self, task: Pix2PixTask) -> dict[str, Any]:
        """Beams that it knows, if they are simulated; and the scale of the user's own maps, if they have one."""
        beams = {} if self.images else {"beams": [self.narrowest, self.widest]}
        return beams | ({"scale": task.scale.largest} if task.scale else {})

    def example(self, task: Pix2PixTask) -> np.ndarray:
        """Two maps, wider than high."""
        image = task.unseen[0]["image"]
        return np.stack([np.concatenate([image, image], axis=2)] * 2)
