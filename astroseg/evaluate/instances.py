"""Instance-wise evaluation: label images against each other, label by label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroseg.evaluate.blocks import PixelBlocks
from astroseg.evaluate.counts import Counts
from astroseg.evaluate.tables import check_shapes

__all__ = ["PanopticQuality", "instances_by_block", "panoptic_quality"]


@dataclass(frozen=True)
class PanopticQuality:
    """How well instances are found and outlined (Kirillov et al. 2019, CVPR, arXiv:1801.00868).

    Parameters
    ----------
    counts : Counts
        Of instances: a pair of labels whose IoU is above 1/2 is a true positive (there can be no
        two such pairs with one label).
    iou_sum : float
        Sum of the IoU of the true positives. Both add up over images.
    """

    counts: Counts
    iou_sum: float

    @property
    def segmentation(self) -> float:
        """Mean IoU of the true positives, NaN without any."""
        return self.iou_sum / self.counts.tp if self.counts.tp else float("nan")

    @property
    def recognition(self) -> float:
        """F1 of the instances."""
        return self.counts.f1

    @property
    def quality(self) -> float:
        """Product of both: sum of IoU / (tp + fp / 2 + fn / 2); 1 where nothing is there and nothing was found."""
        halves = self.counts.tp + (self.counts.fp + self.counts.fn) / 2
        return self.iou_sum / halves if halves else 1.0


def panoptic_quality(truth: np.ndarray, found: np.ndarray, valid: np.ndarray | None = None) -> PanopticQuality:
    """Compare two label images, instance by instance.

    Parameters
    ----------
    truth, found : `~numpy.ndarray` of int, of one shape
        0 is background; the numbers themselves don't matter.
    valid : `~numpy.ndarray` of bool, optional
        Pixels to count, all by default.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.evaluate import panoptic_quality
    >>> panoptic_quality(np.array([1, 1, 1, 0, 2]), np.array([7, 7, 0, 0, 0]))
    PanopticQuality(counts=Counts(tp=1, fp=0, fn=1, tn=0), iou_sum=0.6666666666666666)
    """
    iou_sum, tp, fp, fn = instances_by_block(truth, found, valid=valid)[0]
    return PanopticQuality(Counts(int(tp), int(fp), int(fn)), float(iou_sum))


def instances_by_block(
    truth: np.ndarray, found: np.ndarray, blocks: PixelBlocks | None = None, valid: np.ndarray | None = None
) -> np.ndarray:
    """Sum of IoU, true and false positives and false negatives in each block of pixels.

    Parameters
    ----------
    truth, found, valid
        As of `panoptic_quality`.
    blocks : PixelBlocks, optional
        One for all pixels by default. An instance lies where its first pixel does, a true positive where that of the
        truth does.

    Returns
    -------
    2-D `~numpy.ndarray`, shape (blocks, 4)
    """
    check_shapes(truth, found, valid)
    count, number = (1, np.zeros(np.shape(truth), dtype=int)) if blocks is None else (blocks.count, blocks.number)
    which = ... if valid is None else np.asarray(valid, dtype=bool)
    truth, found = np.asarray(truth)[which].ravel(), np.asarray(found)[which].ravel()
    block = number[which].ravel()
    true_labels, true_block, true_sizes = _instances(truth, block)
    found_labels, found_block, found_sizes = _instances(found, block)
    both = (truth > 0) & (found > 0)
    i, j = np.searchsorted(true_labels, truth[both]), np.searchsorted(found_labels, found[both])
    pairs, overlap = np.unique(i * max(found_labels.size, 1) + j, return_counts=True)
    i, j = np.divmod(pairs, max(found_labels.size, 1))
    iou = overlap / (true_sizes[i] + found_sizes[j] - overlap)
    same = iou > 0.5
    i, j, iou = i[same], j[same], iou[same]
    only_found, only_true = np.delete(found_block, j), np.delete(true_block, i)
    sums = ((true_block[i], iou), (true_block[i], None), (only_found, None), (only_true, None))
    return np.stack([np.bincount(where, weights, minlength=count) for where, weights in sums], axis=-1)


def _instances(labels, block):
    """Labels that are there, the block of the first pixel of each, and their sizes."""
    there = np.flatnonzero(labels > 0)
    numbers, first, sizes = np.unique(labels[there], return_index=True, return_counts=True)
    return numbers, block[there[first]], sizes
