"""Detections against the truth, by the same rules for every finder: pixel by pixel and source by source."""

from astroseg.evaluate.agreement import Agreement
from astroseg.evaluate.counts import Counts
from astroseg.evaluate.curves import Curve, Sweep, share_in_bins
from astroseg.evaluate.estimates import Bootstrap, Estimate, compare_estimates, wilson
from astroseg.evaluate.instances import PanopticQuality, panoptic_quality
from astroseg.evaluate.matching import Matches, match_sources
from astroseg.evaluate.pixels import PixelScores, average_precision, count_pixels, evaluate_pixels, recall_by_snr
from astroseg.evaluate.sdc1 import SDC1_COLUMNS, Sdc1Score, sdc1_score
from astroseg.evaluate.sdc1_list import sdc1_list
from astroseg.evaluate.sources import SourceScores, evaluate_sources

__all__ = [
    "SDC1_COLUMNS",
    "Agreement",
    "Bootstrap",
    "Counts",
    "Curve",
    "Estimate",
    "Matches",
    "PanopticQuality",
    "PixelScores",
    "Sdc1Score",
    "SourceScores",
    "Sweep",
    "average_precision",
    "compare_estimates",
    "count_pixels",
    "evaluate_pixels",
    "evaluate_sources",
    "match_sources",
    "panoptic_quality",
    "recall_by_snr",
    "sdc1_list",
    "sdc1_score",
    "share_in_bins",
    "wilson",
]
