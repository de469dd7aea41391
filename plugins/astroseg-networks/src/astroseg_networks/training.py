"""One way to train every network: a Lightning module that is told what to draw and what to make small."""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from astroseg.errors import UsageError
from astroseg.output import write_all
from astroseg_networks.history import History

__all__ = ["Recipe", "Task", "choose_devices", "fit", "load_best"]

Arrays = Mapping[str, np.ndarray]
Tensors = Mapping[str, torch.Tensor]


class Task(Protocol):
    """What makes one network's training differ from another's."""

    network: torch.nn.Module

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One example, the same from the same generator."""

    def losses(self, answer: Any, batch: Tensors) -> dict[str, torch.Tensor]:
        """Terms of the loss of a batch; their sum is made small."""

    def scores(self, folder: Path) -> dict[str, float]:
        """Scores on skies that training never draws, the one that counts first; pictures go to the folder."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How long and how fast.

    Parameters
    ----------
    steps, batch : int
        Number of steps, and examples in each; of several GPUs each one has as many.
    rate : float
        Largest learning rate of AdamW. It rises over the first 200 steps and falls to 0 over the last third.
    seed : int
        Example ``i`` is drawn from ``[seed, i]``, so that an interrupted training goes on with the examples it had not
        seen.
    every : int
        Steps between two checkpoints, each with its scores.
    workers : int
        Processes that draw examples.
    patience : int
        Checkpoints without a better score after which to stop; 0 for never.
    betas : (float, float)
        Of AdamW: how long it remembers gradients and their squares.
    """

    steps: int
    batch: int
    rate: float
    seed: int
    every: int
    workers: int
    patience: int = 0
    betas: tuple[float, float] = (0.9, 0.999)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step over the largest one."""
        return float(np.clip(min((step + 1) / 200, (self.steps - step) / (self.steps / 3)), 0, 1))


class _Examples(Dataset):
    def __init__(self, draw: Callable[[np.random.Generator], Arrays], seed: int, first: int, count: int) -> None:
        self.draw, self.seed, self.first, self.count = draw, seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Arrays:
        return self.draw(np.random.default_rng([self.seed, self.first + index]))


class _Module(lightning.LightningModule):
    def __init__(self, task: Task, recipe: Recipe, folder: Path) -> None:
        super().__init__()
        self.task, self.recipe, self.folder = task, recipe, folder
        self.network = task.network.to(memory_format=torch.channels_last)
        self.history = History(recipe.patience)

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, betas=recipe.betas, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, recipe.rate_at)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> DataLoader:
        """The examples of one epoch: the steps up to the next checkpoint. Lightning deals them out to the GPUs."""
        recipe = self.recipe
        count = max(min(recipe.every, recipe.steps - self.global_step), 1)
        examples = _Examples(
            self.task.draw, recipe.seed, self.global_step * self.batch_of_all, count * self.batch_of_all
        )
        return DataLoader(
            examples,
            batch_size=recipe.batch,
            num_workers=recipe.workers,
            worker_init_fn=_start_worker,
            pin_memory=self.device.type == "cuda",
        )

    @property
    def batch_of_all(self) -> int:
        """Examples in a step."""
        return self.recipe.batch * self.trainer.world_size

    def on_train_start(self) -> None:
        self._begin()

    def on_train_batch_start(self, *_: Any) -> None:
        # What a network draws at random is the same after an interruption.
        torch.manual_seed(self.recipe.seed + self.global_step)

    def training_step(self, batch: Tensors, _: int) -> torch.Tensor:
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        losses = self.task.losses(self.network(image), batch)
        total = torch.stack(list(losses.values())).sum()
        for name, value in {"loss": total, **losses}.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        return total

    def on_train_epoch_end(self) -> None:
        scores = self._scores() if self.trainer.is_global_zero else None
        scores = self.trainer.strategy.broadcast(scores)
        steps = self.global_step - self.first
        self.history.add(
            {
                "step": self.global_step,
                "examples": self.history.last("examples") + steps * self.batch_of_all,
                "minutes": self.history.last("minutes") + (time.monotonic() - self.started) / 60,
                **{name: float(value) / steps for name, value in self.sums.items()},
            },
            scores,
        )
        if self.history.best is self.history.rows[-1]:
            self.trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)
        if self.trainer.is_global_zero:
            self.history.write(self.folder)
        self.trainer.should_stop = self.history.stale
        self._begin()

    def _begin(self) -> None:
        """Count anew."""
        self.first, self.started = self.global_step, time.monotonic()
        self.sums: dict[str, torch.Tensor] = {}

    def _scores(self) -> dict[str, float]:
        self.network.eval()
        scores = self.task.scores(self.folder)
        self.network.train()
        return scores

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history.rows

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history.rows = checkpoint.get("history", [])
        _end_epoch(checkpoint["loops"]["fit_loop"])

    def on_fit_start(self) -> None:
        self.trainer.should_stop = self.history.stale


def _end_epoch(loop: dict[str, Any]) -> None:
    """Say in a checkpoint that its epoch is over: Lightning would go on with one more step of it."""
    for progress in (loop["epoch_progress"]["total"], loop["epoch_progress"]["current"]):
        progress["completed"] = progress["processed"]
    batches = loop["epoch_loop.batch_progress"]["current"]
    batches.update(dict.fromkeys(batches, 0))


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one ends them


class _AtomicIO(lightning.pytorch.plugins.TorchCheckpointIO):
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        write_all({Path(path): lambda part: torch.save(checkpoint, part)})


def fit(task: Task, recipe: Recipe, folder: Path, device: str, callbacks: list[Callback] | None = None) -> History:
    """Train, or go on with a training that was interrupted.

    Parameters
    ----------
    task : Task
    recipe : Recipe
    folder : `~pathlib.Path`
        Takes the checkpoints, last and best, and the table of losses and scores.
    device : str
        "auto" (all GPUs, where there are any), "cpu", "cuda" or "cuda:N".
    callbacks : list of `lightning.pytorch.callbacks.Callback`, optional

    Returns
    -------
    `~astroseg_networks.history.History`

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C: the same call goes on from the last checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last.ckpt"
    module = _Module(task, recipe, folder)
    accelerator, devices = choose_devices(device)
    keep = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    with _quiet(), _interruptible() as stop:
        trainer = lightning.Trainer(
            max_steps=recipe.steps,
            reload_dataloaders_every_n_epochs=1,
            accelerator=accelerator,
            devices=devices,
            precision=_precision(accelerator),
            sync_batchnorm=True,
            gradient_clip_val=1.0,
            callbacks=[keep, stop, *(callbacks or [])],
            plugins=[_AtomicIO()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
    return module.history


def load_best(network: torch.nn.Module, folder: Path) -> None:
    """Give a network the weights of the best checkpoint."""
    state = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    network.cpu().load_state_dict({key.removeprefix("network."): value for key, value in state.items()})


def choose_devices(device: str) -> tuple[str, Any]:
    """Lightning's names of a device, and of how many.

    Parameters
    ----------
    device : str
        As in `fit`.

    Raises
    ------
    UsageError
        It is not there.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdecimal())):
        msg = f"There is no device '{device}'. Choose auto, cpu, cuda or cuda:N."
        raise UsageError(msg)
    count = torch.cuda.device_count()
    if kind == "cuda" and int(number or 0) >= count:
        msg = f"There is no device '{device}': torch {torch.__version__} sees {count} GPUs. Use --device cpu."
        raise UsageError(msg)
    if kind == "cpu" or count == 0:
        return "cpu", 1
    return "cuda", [int(number)] if number else "auto"


def _precision(accelerator: str) -> Any:
    """Bfloat16 where the hardware has it: with BatchNorm 3.5 times as fast, on a CPU; emulated it would be slower."""
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older releases do not say
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice is for programmers."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|torch)\b")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[Callback]:
    """Ctrl-C ends the training between two steps: raised anywhere, it can get lost in a destructor."""
    stop = _StopOnRequest()
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, stop.ask) if here else None
    try:
        yield stop
    except SystemExit as end:  # what Lightning makes of Ctrl-C and of SIGTERM
        raise KeyboardInterrupt from end
    finally:
        if here:
            signal.signal(signal.SIGINT, before)


class _StopOnRequest(Callback):
    asked = False

    def ask(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt  # who asks twice does not want to wait
        self.asked = True

    def on_train_batch_start(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
