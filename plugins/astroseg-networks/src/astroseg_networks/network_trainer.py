"""What the trainers of all networks have in common: checkpoints, and at the end the weights with their card."""

from __future__ import annotations

import datetime as dt
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from astroseg import Trainer
from astroseg_networks.export import export_onnx, save_master
from astroseg_networks.half_range import rescale_variances
from astroseg_networks.history import History
from astroseg_networks.progress import TrainingProgress
from astroseg_networks.runtime import load_network
from astroseg_networks.training import Recipe, Task, choose_devices, fit, load_best
from astroseg_networks.weights import Weights, WeightsError, find_weights, master_of, read_weights

__all__ = ["NetworkTrainer"]

LICENCE = "BSD-3-Clause"
PACKAGES = ("astroseg", "astroseg-networks", "torch", "lightning", "numpy")


T = TypeVar("T", bound=Task)


class NetworkTrainer(Trainer, Generic[T]):
    """Base of the trainers of networks. Its options are those that a subclass stores.

    A subclass makes the network (`build`) and its task (`task`), says what is to be known of both (`facts`), and shows
    an input (`example`).
    """

    steps: int
    batch: int
    rate: float
    seed: int
    every: int
    patience: int
    workers: int | None
    device: str
    start: str | None

    @property
    def arguments(self) -> dict[str, Any]:
        """With which the network is made, for its card; none for its own defaults."""
        return {}

    @staticmethod
    def build(arguments: dict[str, Any]) -> torch.nn.Module:
        """The network, with weights drawn at random."""
        raise NotImplementedError

    def task(self, network: torch.nn.Module) -> T:
        """What the network learns, and from what."""
        raise NotImplementedError

    def facts(self, task: T) -> dict[str, Any]:
        """What the card says of this network and its data: ``normalisation``, ``calibration``, ``data``, ..."""
        raise NotImplementedError

    def example(self, task: T) -> np.ndarray:
        """An input of shape (n, channels, ny, nx), n of 2 or more; where ny and nx are free, they differ."""
        raise NotImplementedError

    def validate(self) -> None:
        """Check all values, and that the device and the weights to begin with are there."""
        super().validate()
        choose_devices(self.device)
        self.beginning()

    def train(self, folder: Path, *, quiet: bool = False) -> list[Path]:
        """Train, or go on with a training that was interrupted; see `astroseg.Trainer.train`."""
        torch.manual_seed(self.seed)
        held = self.beginning()
        network = self.build(self.arguments) if held is None else load_network(held, self.build).train()
        task = self.task(network)
        history = fit(task, self.recipe(), folder, self.device, [] if quiet else [TrainingProgress(self.steps)])
        if rank_zero_only.rank:  # of several processes the first one writes
            return []
        load_best(task.network, folder)
        return self.write(network.eval(), task, history, folder)

    def beginning(self) -> Weights | None:
        """The master of the weights to begin with, where there are any.

        Raises
        ------
        WeightsError
            They cannot be read, or are of another network.
        """
        if self.start is None:
            return None
        path = find_weights(self.start)
        held = read_weights(master_of(path) if path.suffix == ".onnx" else path)
        if held.card["architecture"] != self._architecture():
            msg = f"Cannot begin with the weights {held.path}: they are of {held.card['architecture']}."
            raise WeightsError(msg)
        return held

    def _architecture(self) -> dict[str, Any]:
        return {"name": self.name, **self.arguments}

    def recipe(self) -> Recipe:
        """The options that say how long and how fast."""
        names = ("steps", "batch", "rate", "seed", "every", "patience")
        workers = _workers(self.device) if self.workers is None else self.workers
        return Recipe(**{name: getattr(self, name) for name in names}, workers=workers)

    def write(self, network: torch.nn.Module, task: T, history: History, folder: Path) -> list[Path]:
        """Write the weights: the master, and the ONNX file made from it."""
        rescale_variances(network)
        network.half().float()  # as the master holds them: the scores in the card are those of what is used
        card = self.card(task, history, task.scores(folder))
        master = save_master(network, card, folder / f"{self.name}.safetensors")
        return [master, export_onnx(master, self.build, self.example(task))]

    def card(self, task: T, history: History, scores: dict[str, float]) -> dict[str, Any]:
        """Everything that is to be known of the weights."""
        return {
            "architecture": self._architecture(),
            **self.facts(task),
            "scores": scores,
            "best_step": history.best["facts"]["step"],
            "total_steps": history.last("step"),
            "total_examples": history.last("examples"),
            "total_minutes": round(history.last("minutes"), 1),
            "command": self._command(),
            "options": self.get_params(),
            "seed": self.seed,
            "licence": LICENCE,
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
        }

    def _command(self) -> str:
        """A command that repeats the training, by the options that matter and are not the default."""
        words = ["astroseg", "train", self.name]
        for name, option in self.options().items():
            value = getattr(self, name)
            if value != option.default and name not in self.changeable:
                words += ["--set", f"{name}={'none' if value is None else value}"]
        return shlex.join(words)


def _workers(device: str) -> int:
    """Drawing the examples takes a few percent of a core beside a network on a CPU, all cores beside one on a GPU."""
    return torch.get_num_threads() if device != "cpu" and torch.cuda.is_available() else 1
