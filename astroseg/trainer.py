"""Trainers: what a method learns from, and the folder in which a training can be interrupted and taken up again."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from astroseg.errors import AstrosegError, PluginError, UsageError
from astroseg.options import Configurable
from astroseg.output import write_all

__all__ = ["CONFIG", "Trainer", "prepare_folder", "read_config"]

#: The file in the folder of a training that holds its options.
CONFIG = "config.toml"


class Trainer(Configurable):
    """Base of all trainers: keyword-only options in the constructor, one method.

    A subclass extends `validate` by what else it must refuse, such as a device or a file that isn't there: it is asked
    before anything is written or forgotten.

    Class attributes: ``name`` (as users type it), ``checkpoint`` (the file in the folder from which an interrupted
    training goes on), ``changeable`` (options that may differ when it goes on, as they don't change what is learnt).
    """

    name: ClassVar[str] = ""
    checkpoint: ClassVar[str] = "last.ckpt"
    changeable: ClassVar[frozenset[str]] = frozenset({"device", "workers"})

    def train(self, folder: Path, *, quiet: bool = False) -> list[Path]:
        """Train, or go on with a training that was interrupted.

        Parameters
        ----------
        folder : `~pathlib.Path`
            As `prepare_folder` left it. Takes checkpoints, scores and pictures while it runs, the weights at the end.
        quiet : bool
            Print no progress.

        Returns
        -------
        list of `~pathlib.Path`
            The weights: what ``astroseg find --weights`` takes.

        Raises
        ------
        KeyboardInterrupt
            Interrupted: the same call goes on from the last checkpoint.
        """
        msg = f"The trainer '{self.name}' does not implement train()."
        raise PluginError(msg)


def prepare_folder(trainer: Trainer, folder: Path, *, fresh: bool = False) -> None:
    """Validate a trainer, make the folder of its training, and write its options there, so that it can be repeated.

    Parameters
    ----------
    trainer : Trainer
    folder : `~pathlib.Path`
    fresh : bool
        Forget what was trained there before.

    Raises
    ------
    UsageError
        The options are refused, or an interrupted training with other options is there. The folder is as it was.
    """
    trainer.validate()
    if fresh:
        (folder / trainer.checkpoint).unlink(missing_ok=True)
    elif (folder / trainer.checkpoint).exists():
        _refuse_changes(trainer, folder)
    write_all({folder / CONFIG: lambda path: _write_config(trainer, path)})


def _refuse_changes(trainer, folder) -> None:
    path = folder / CONFIG
    before = type(trainer)(**read_config(path, type(trainer))).get_params() if path.exists() else {}
    changes = [
        f"{key} was {before[key]}, now {value}"
        for key, value in trainer.get_params().items()
        if key in before and key not in trainer.changeable and before[key] != value
    ]
    if changes:
        msg = (
            f"{folder} holds a training with other options: {'; '.join(changes)}. Go on with it by --config {path}, "
            "start over with --fresh, or choose another folder with --output."
        )
        raise UsageError(msg)


def read_config(path: str | Path, trainer: type[Trainer]) -> dict[str, Any]:
    """Read the options of a trainer from a TOML file.

    Parameters
    ----------
    path : path
        Its keys are the options. A list is taken as its items with commas between, ``"none"`` as `None` where the
        option takes it.
    trainer : type
        Subclass of `Trainer`.

    Returns
    -------
    dict
        Values of the declared types.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"Cannot read {path}: {error.strerror}."
        raise AstrosegError(msg) from error
    except ValueError as error:  # of TOML, or of UTF-8
        msg = f"Cannot read {path} as TOML: {error}."
        raise AstrosegError(msg) from error
    return {key: _value(trainer, key, value) for key, value in values.items()}


def _value(trainer, key, value):
    option = trainer.option(key)
    text = ",".join(map(str, value)) if isinstance(value, list) else value
    return option.parse(text) if isinstance(text, str) else option.check(text)


def _write_config(trainer: Trainer, path: Path) -> None:
    """The options as TOML, which has no null and writes texts and numbers as JSON does."""
    lines = [
        f"{key} = {json.dumps('none' if value is None else value, ensure_ascii=False)}"
        for key, value in trainer.get_params().items()
    ]
    text = "\n".join([f"# astroseg train {trainer.name} --config {CONFIG}", *lines, ""])
    path.write_text(text, encoding="utf-8")
