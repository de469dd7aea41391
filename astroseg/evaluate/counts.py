"""Four counts that add up, and every score that follows from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Counts"]


@dataclass(frozen=True)
class Counts:
    """True and false positives and negatives, of pixels or of sources.

    Counts of tiles, images or S/N bins add up; scores do not. What cannot be known (the precision
    of nothing found, say) is NaN, with one convention: where there is nothing and nothing was
    found, truth and answer agree, so `iou` and `f1` are 1.

    Parameters
    ----------
    tp : int
        True positives: there, and found.
    fp : int
        False positives: found, not there.
    fn : int
        False negatives: there, not found.
    tn : int
        True negatives: neither. Not defined for sources, and 0 there.

    Examples
    --------
    >>> from astroseg.evaluate import Counts
    >>> both = Counts(tp=8, fp=2, fn=0, tn=90) + Counts(tp=1, fp=0, fn=3, tn=96)
    >>> both
    Counts(tp=9, fp=2, fn=3, tn=186)
    >>> both.recall
    0.75
    """

    tp: int
    fp: int
    fn: int
    tn: int = 0

    def __add__(self, other: object) -> Counts:
        """Counts of both together."""
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    def __radd__(self, other: object) -> Counts:
        """So that ``sum`` works, which begins with 0."""
        return self if other == 0 else NotImplemented

    @property
    def total(self) -> int:
        """How many were counted."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def precision(self) -> float:
        """Share of what was found that is there, tp / (tp + fp)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of what is there that was found, tp / (tp + fn)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of the background that was left alone, tn / (tn + fp)."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, empty=1.0)

    @property
    def iou(self) -> float:
        """Intersection over union, tp / (tp + fp + fn)."""
        return _ratio(self.tp, self.tp + self.fp + self.fn, empty=1.0)

    @property
    def accuracy(self) -> float:
        """Share of right answers, (tp + tn) / total. Background dominates it: a blank answer scores high."""
        return _ratio(self.tp + self.tn, self.total)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of recall and specificity."""
        return (self.recall + self.specificity) / 2

    # The astronomers' and the segmenters' names.
    reliability = precision
    completeness = recall
    dice = f1

    def to_dict(self) -> dict[str, float]:
        """The four counts and every score."""
        names = ("precision", "recall", "specificity", "f1", "iou", "accuracy", "balanced_accuracy")
        return asdict(self) | {name: getattr(self, name) for name in names}


def _ratio(part, whole, empty=float("nan")):
    return part / whole if whole else empty
