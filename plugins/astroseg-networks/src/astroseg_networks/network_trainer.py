"""What the trainers of all networks have in common: checkpoints, and at the end the weights with their card."""

from __future__ import annotations

import datetime as dt
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from astroseg import Trainer
from astroseg.trainer import CONFIG
from astroseg_networks.export import export_int8, export_onnx, save_master
from astroseg_networks.history import History
from astroseg_networks.progress import TrainingProgress
from astroseg_networks.runtime import load_network
from astroseg_networks.training import Recipe, Task, fit, load_best
from astroseg_networks.weights import WeightsError, find_weights, master_of, read_weights

__all__ = ["NetworkTrainer"]

LICENCE = "BSD-3-Clause"
PACKAGES = ("astroseg", "astroseg-networks", "torch", "lightning", "numpy")


T = TypeVar("T", bound=Task)


class NetworkTrainer(Trainer, Generic[T]):
    """Base of the trainers of networks. Its options are those that a subclass stores.

    A subclass makes the network (`build`) and its task (`task`), and says what is to be known of both (`facts`).
    """

    arguments: ClassVar[dict[str, Any]] = {}

    steps: int
    batch: int
    rate: float
    seed: int
    every: int
    patience: int
    workers: int | None
    device: str
    start: str | None

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

    def batches(self, task: T) -> list[np.ndarray]:
        """What the network will see: several inputs of shape (n, channels, ny, nx), n of 2 or more.

        Where ny and nx are free, they differ.
        """
        raise NotImplementedError

    def train(self, folder: Path, *, quiet: bool = False) -> list[Path]:
        """Train, or go on with a training that was interrupted; see `astroseg.Trainer.train`."""
        torch.manual_seed(self.seed)
        network = self.build(self.arguments) if self.start is None else self._started(self.start)
        task = self.task(network)
        history = fit(task, self.recipe(), folder, self.device, [] if quiet else [TrainingProgress(self.steps)])
        if rank_zero_only.rank:  # of several processes the first one writes
            return []
        load_best(task.network, folder)
        return self.write(network.eval(), task, history, folder)

    def _started(self, start: str) -> torch.nn.Module:
        """The network, with the weights to begin with."""
        path = find_weights(start)
        held = read_weights(master_of(path) if path.suffix == ".onnx" else path)
        if held.card["architecture"] != self._architecture():
            msg = f"Cannot begin with the weights {held.path}: they are of {held.card['architecture']}."
            raise WeightsError(msg)
        return load_network(held, self.build).train()

    def _architecture(self) -> dict[str, Any]:
        return {"name": self.name, **self.arguments}

    def recipe(self) -> Recipe:
        """The options that say how long and how fast."""
        names = ("steps", "batch", "rate", "seed", "every", "patience")
        workers = _workers(self.device) if self.workers is None else self.workers
        return Recipe(**{name: getattr(self, name) for name in names}, workers=workers)

    def write(self, network: torch.nn.Module, task: T, history: History, folder: Path) -> list[Path]:
        """Write the weights, in all the forms that a finder takes."""
        batches = self.batches(task)
        master = save_master(network, self.card(task, history), folder / f"{self.name}.safetensors")
        onnx = export_onnx(master, self.build, batches[0])
        return [master, onnx, export_int8(onnx, batches)]

    def card(self, task: T, history: History) -> dict[str, Any]:
        """Everything that is to be known of the weights."""
        best = history.best
        return {
            "architecture": self._architecture(),
            **self.facts(task),
            "scores": best["scores"],
            "step": best["facts"]["step"],
            "examples": history.last("examples"),
            "minutes": round(history.last("minutes"), 1),
            "command": f"astroseg train {self.name} --config {CONFIG}",
            "options": self.get_params(),
            "seed": self.seed,
            "licence": LICENCE,
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
        }


def _workers(device: str) -> int:
    """Drawing the examples takes a few percent of a core beside a network on a CPU, all cores beside one on a GPU."""
    return torch.get_num_threads() if device != "cpu" and torch.cuda.is_available() else 1
