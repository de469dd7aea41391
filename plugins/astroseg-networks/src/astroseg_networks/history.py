"""What happened in a training, checkpoint by checkpoint, and when to stop."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from astroseg.output import write_all

__all__ = ["History"]


class History:
    """Losses and scores of the checkpoints of a training.

    Parameters
    ----------
    patience : int
        Checkpoints without a better score after which to stop; 0 for never.
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self.rows: list[dict[str, Any]] = []

    def add(self, facts: dict[str, float], scores: dict[str, float]) -> None:
        """Add a checkpoint.

        Parameters
        ----------
        facts : dict of str to float
            Steps, examples and minutes since the beginning, and mean losses since the last checkpoint.
        scores : dict of str to float
            The one that counts first.
        """
        # Plain numbers: a checkpoint is read without running anything that is in it.
        self.rows.append({"facts": facts, "scores": {name: float(score) for name, score in scores.items()}})

    def last(self, fact: str) -> float:
        """The newest value of a fact, 0 before the first checkpoint."""
        return self.rows[-1]["facts"][fact] if self.rows else 0

    @property
    def scores(self) -> list[float]:
        """The score that counts of each checkpoint; what is no number is worse than any."""
        scores = [next(iter(row["scores"].values())) for row in self.rows]
        return [-math.inf if math.isnan(score) else score for score in scores]

    @property
    def best(self) -> dict[str, Any]:
        """The checkpoint with the best score, the first of equals: its ``facts`` and ``scores``."""
        scores = self.scores
        return self.rows[scores.index(max(scores))]

    @property
    def stale(self) -> bool:
        """Whether the score got no better for too long."""
        return bool(self.patience and self.rows) and len(self.rows) - 1 - self.rows.index(self.best) >= self.patience

    def line(self) -> str:
        """The newest checkpoint in words."""
        scores = "  ".join(f"{name} {value:.4f}" for name, value in self.rows[-1]["scores"].items())
        return f"step {self.last('step')}  loss {self.last('loss'):.4f}  {scores}  best {max(self.scores):.4f}"

    def write(self, folder: Path) -> None:
        """Write ``history.csv``."""
        rows = [{**row["facts"], **row["scores"]} for row in self.rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()})

        def write(path: Path) -> None:
            path.write_text(text.getvalue(), encoding="utf-8")

        write_all({folder / "history.csv": write})
