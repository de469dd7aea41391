"""Weights that fit into float16, which ends at 65504."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

__all__ = ["rescale_variances"]

LARGEST = 1e4  # variance that is left as it is
WANTED = 100.0  # what a larger one becomes: far above the epsilon that batch norm adds


def rescale_variances(network: nn.Module) -> None:
    """Make large variances of batch norms small, in place; what the network answers stays the same.

    A convolution without bias and the batch norm after it do not change where the former's weights of a channel are
    multiplied by a number, the latter's mean by the same number, and its variance by the number's square.

    Parameters
    ----------
    network : `torch.nn.Module`
        Each batch norm follows its convolution.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    with torch.no_grad():
        for before, norm in pairwise(layers):
            if isinstance(before, nn.Conv2d) and before.bias is None and isinstance(norm, nn.BatchNorm2d):
                variance = norm.running_var
                factor = torch.where(variance > LARGEST, (WANTED / variance).sqrt(), 1.0)
                before.weight *= factor[:, None, None, None]
                norm.running_mean *= factor
                norm.running_var *= factor**2
