"""Simulated dirty maps as the networks take them, and what is made of models of them, in torch."""

from __future__ import annotations

import numpy as np
import torch

from astroseg_networks.dirty_skies import DirtySky
from astroseg_networks.dirty_units import AREA
from astroseg_networks.image_pairs import Scale

__all__ = ["as_example", "convolved", "restoration_losses"]


def as_example(sky: DirtySky, scale: Scale | None = None) -> dict[str, np.ndarray]:
    """One example.

    Parameters
    ----------
    sky : `~astroseg_networks.dirty_skies.DirtySky`
    scale : `~astroseg_networks.image_pairs.Scale`, optional
        By default that of the dirty map alone.

    Returns
    -------
    dict of `~numpy.ndarray` of float32
        ``dirty``, ``truth``, shape (1, n, n); ``psf``, ``beam``, shape (1, 2 n, 2 n), with the peak in the corner;
        ``noise``, shape (1,).
    """
    scale = scale or Scale.of([sky.dirty])
    maps = {name: scale.apply(values)[np.newaxis] for name, values in (("dirty", sky.dirty), ("truth", sky.truth))}
    kernels = {name: _cornered(kernel)[np.newaxis] for name, kernel in (("psf", sky.psf), ("beam", sky.beam))}
    arrays = {**maps, **kernels, "noise": np.array([sky.noise / scale.largest])}
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def _cornered(kernel: np.ndarray) -> np.ndarray:
    """A kernel of odd sides with one more row and column, and its middle in the corner."""
    half = kernel.shape[0] // 2
    return np.roll(np.pad(kernel, ((0, 1), (0, 1))), (-half, -half), (0, 1))


def convolved(model: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Models, convolved each with its own kernel, not cyclically.

    Parameters
    ----------
    model : `torch.Tensor`, shape (n, 1, ny, nx)
        Flux per `AREA`.
    kernel : `torch.Tensor`, shape (n, 1, 2 ny, 2 nx)
        With its peak in the corner.
    """
    sides = kernel.shape[-2:]
    spectrum = torch.fft.rfft2(model.float(), s=sides) * torch.fft.rfft2(kernel.float())
    return torch.fft.irfft2(spectrum, s=sides)[..., : model.shape[-2], : model.shape[-1]] / AREA


def restoration_losses(restored: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Mean and root mean square error, each over that of an empty map, so that all maps weigh the same."""
    error = restored - truth
    over = (1, 2, 3)
    absolute = error.abs().mean(over) / truth.abs().mean(over)
    square = torch.sqrt(error.square().mean(over) / truth.square().mean(over) + 1e-8)
    return {"l1": absolute.mean(), "rms": square.mean()}
