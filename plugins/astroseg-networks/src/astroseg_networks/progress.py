"""What a user sees of a training while it runs."""

from __future__ import annotations

import sys
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["TrainingProgress"]

SELDOM = 10  # steps: the loss comes from the GPU, which has to be waited for


class TrainingProgress(Callback):
    """A line of losses and scores for each checkpoint, and on a terminal a bar with the time that is left.

    Parameters
    ----------
    steps : int
        Of the whole training.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.told = steps, 0
        self.bar: Progress | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Show the bar; what an earlier run did counts."""
        self.told = len(pl_module.history.rows)
        if trainer.is_global_zero and sys.stderr.isatty():
            self.bar = Progress(
                BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self.bar.add_task("", total=self.steps, completed=trainer.global_step)
            self.bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Move the bar."""
        if self.bar and trainer.global_step % SELDOM == 0:
            loss = f"loss {float(outputs['loss']):.3f}"
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, description=loss)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Tell of the checkpoint before, which the module has made after its callbacks' turn."""
        if trainer.is_global_zero and len(pl_module.history.rows) > self.told:
            self.told = len(pl_module.history.rows)
            (self.bar.console if self.bar else Console(stderr=True)).print(pl_module.history.line(), highlight=False)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Tell of the last checkpoint, and take the bar away."""
        self.on_train_epoch_start(trainer, pl_module)
        self._close()

    def on_exception(self, *_: Any) -> None:
        """Give the terminal back."""
        self._close()

    def _close(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
