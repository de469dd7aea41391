"""The options of trainers that name the user's own files."""

from __future__ import annotations

from pathlib import Path

from astroseg.errors import UsageError

__all__ = ["check_own", "paths_of"]


def paths_of(text: str | None) -> list[Path]:
    """The paths in an option, separated by commas."""
    return [Path(part.strip()) for part in (text or "").split(",") if part.strip()]


def check_own(images: str | None, truths: str | None) -> None:
    """Check that each image has its truth, and that all files are there.

    Parameters
    ----------
    images, truths : str, optional
        Paths, separated by commas.

    Raises
    ------
    UsageError
    """
    pictures, answers = paths_of(images), paths_of(truths)
    if len(pictures) != len(answers):
        msg = f"Each image needs its truth: there are {len(pictures)} images and {len(answers)} truths."
        raise UsageError(msg)
    absent = [path for path in (*pictures, *answers) if not path.is_file()]
    if absent:
        msg = f"There is no file {absent[0]} to train on."
        raise UsageError(msg)
