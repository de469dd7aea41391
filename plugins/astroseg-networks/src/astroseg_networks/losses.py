"""What the networks are trained to make small."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["centre_loss", "dice_loss", "gaussian_loss", "segmentation_loss", "weighted_mean"]


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of values of weight above 0; 0 where there are none."""
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def centre_loss(logit: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Focal loss of a map of centres, reduced around them.

    Parameters
    ----------
    logit : `torch.Tensor`
    target : `torch.Tensor`
        1 at the pixel of each centre, falling off around it.
    weight : `torch.Tensor`
        0 where the truth is not known.

    Notes
    -----
    Zhou, Wang & Krähenbühl 2019, arXiv:1904.07850, eq. 1, with the exponents 2 and 4.
    """
    probability = torch.sigmoid(logit)
    found = -functional.logsigmoid(logit) * (1 - probability) ** 2
    wrong = -functional.logsigmoid(-logit) * probability**2 * (1 - target) ** 4
    centres = (target == 1).float() * weight
    return ((found * centres).sum() + (wrong * (1 - (target == 1).float()) * weight).sum()) / centres.sum().clamp_min(1)


def dice_loss(probability: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 less the Dice coefficient of all pixels of the batch together (Milletari et al. 2016, arXiv:1606.04797)."""
    both = (probability * target * weight).sum()
    return 1 - (2 * both + 1) / ((probability * weight).sum() + (target * weight).sum() + 1)


def segmentation_loss(logit: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross entropy and Dice loss, one each: calibrated pixels and whole masks."""
    entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return weighted_mean(entropy, weight) + dice_loss(torch.sigmoid(logit), target, weight)


def gaussian_loss(
    mean: torch.Tensor, log_variance: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Negative log likelihood of a Gaussian whose variance is predicted too (Nix & Weigend 1994)."""
    log_variance = log_variance.clamp(-9, 4)
    return weighted_mean(0.5 * ((mean - target) ** 2 * torch.exp(-log_variance) + log_variance), weight)
