"""What the networks of patches are trained on and for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from astroseg.simulate.field import radio_field
from astroseg_networks.cae import CAE
from astroseg_networks.continunet import ContinUNet
from astroseg_networks.continunet_finder import min_max
from astroseg_networks.losses import weighted_mean
from astroseg_networks.patch_skies import draw_patches, draw_wide_settings
from astroseg_networks.patches import BEAMS
from astroseg_networks.vae import VAE
from astroseg_networks.validation import dice

__all__ = [
    "DATA",
    "NORMALISATION",
    "ContinUNetTask",
    "MaskTask",
    "PatchTask",
    "PriorTask",
    "VAETask",
    "active_units",
    "divergence",
]

Arrays = dict[str, np.ndarray]
Tensors = Mapping[str, torch.Tensor]

#: What the cards of the weights say.
NORMALISATION = "asinh(image / noise)"
DATA = f"simulated radio skies, astroseg_networks.patch_skies: beams of {BEAMS[0]:g} to {BEAMS[1]:g} pixels"

UNSEEN = 32  # skies to validate on
LATENT = ("mean", "log_variance")
ACTIVE = 0.01  # variance of the mean of a latent unit, over data, above which it says something


class PatchTask:
    """The mask of a patch of sky, by its cross entropy.

    Parameters
    ----------
    network : `~astroseg_networks.cae.CAE`, `~astroseg_networks.vae.VAE` or `~astroseg_networks.continunet.ContinUNet`
    patches : int
        From each sky.
    """

    def __init__(self, network: CAE | VAE | ContinUNet, patches: int) -> None:
        self.network: torch.nn.Module = network
        self.size = network.size
        self.patches = patches

    def draw(self, rng: np.random.Generator) -> Arrays:
        """Patches of one sky, as the network takes them."""
        patches = self.sky(rng)
        return {**patches, "image": self.planes(patches, rng)}

    def sky(self, rng: np.random.Generator) -> Arrays:
        """Patches of one sky; see `astroseg_networks.patch_skies.draw_patches`."""
        return draw_patches(rng, self.size, self.patches)

    def planes(self, patches: Arrays, rng: np.random.Generator | None) -> np.ndarray:
        """The planes that the network takes of each patch, one after the other; without an rng nothing is random."""
        return patches["image"]

    def losses(self, answer: Tensors, batch: Tensors) -> dict[str, torch.Tensor]:
        """Terms of the loss."""
        target, weight = _patches(batch["segmentation"]), _patches(batch["weight"])
        entropy = functional.binary_cross_entropy_with_logits(answer["segmentation"], target, reduction="none")
        return {"segmentation": weighted_mean(entropy, weight)}

    def scores(self, folder: Path) -> dict[str, float]:
        """Dice coefficient of all pixels of the unseen patches together."""
        return self.judge(self.answers())

    def judge(self, answers: list[Arrays]) -> dict[str, float]:
        """Scores of the answers to the unseen patches."""
        logits = [answer["segmentation"] for answer in answers]
        masks = [
            {"segmentation": logit.reshape(truth["segmentation"].shape)}
            for logit, truth in zip(logits, self.unseen, strict=True)
        ]
        return {"dice": dice(masks, self.unseen)}

    @cached_property
    def unseen(self) -> list[Arrays]:
        """Patches of skies that no training draws: its seeds have two numbers."""
        skies = [self.sky(np.random.default_rng([0, index, 1])) for index in range(UNSEEN)]
        return [{**patches, "image": self.planes(patches, None)} for patches in skies]

    def answers(self) -> list[Arrays]:
        """What the network says of the unseen patches."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            answers = [self.network(torch.from_numpy(truth["image"])[None].to(device)) for truth in self.unseen]
        return [{name: values.cpu().numpy() for name, values in answer.items()} for answer in answers]


class ContinUNetTask(PatchTask):
    """The mask of a sky that is one patch, seen between its minimum and its maximum.

    Parameters
    ----------
    network : `~astroseg_networks.continunet.ContinUNet`
    """

    def __init__(self, network: ContinUNet) -> None:
        super().__init__(network, 1)

    def sky(self, rng: np.random.Generator) -> Arrays:
        """One sky; see `astroseg_networks.patch_skies.draw_wide_settings`."""
        field = radio_field(rng, draw_wide_settings(rng), (self.size, self.size))
        blank = ~np.isfinite(field.data)
        sky = {"image": min_max(field.data, blank), "segmentation": field.labels > 0, "weight": ~blank}
        return {name: values[np.newaxis].astype(np.float32) for name, values in sky.items()}


class VAETask(PatchTask):
    """The mask of a patch of sky through a latent vector that is kept close to a standard normal.

    Parameters
    ----------
    network : `~astroseg_networks.vae.VAE`
    patches : int
        From each sky.
    beta : float
        Weight of the divergence; at 1 the loss is the evidence lower bound (per pixel).

    Notes
    -----
    Higgins et al. 2017, ICLR, eq. 4 (beta); Kingma & Welling 2014, arXiv:1312.6114, eq. 10 (the bound).
    """

    def __init__(self, network: VAE, patches: int, beta: float) -> None:
        super().__init__(network, patches)
        self.beta = beta

    def planes(self, patches: Arrays, rng: np.random.Generator | None) -> np.ndarray:
        """The patch, and the noise that moves the latent vector off its mean."""
        seen = self.seen(patches)
        noise = np.zeros_like(seen) if rng is None else rng.standard_normal(seen.shape, dtype=np.float32)
        return np.stack([seen, noise], axis=1).reshape(-1, self.size, self.size)

    def seen(self, patches: Arrays) -> np.ndarray:
        """What the encoder sees."""
        return patches["image"]

    def losses(self, answer: Tensors, batch: Tensors) -> dict[str, torch.Tensor]:
        """Terms of the loss."""
        apart = divergence(*(answer[name] for name in LATENT)).sum(dim=1).mean() / self.size**2
        return {**super().losses(answer, batch), "divergence": self.beta * apart}

    def judge(self, answers: list[Arrays]) -> dict[str, float]:
        """Dice coefficient, nats that the latent vector holds, and its units that hold any."""
        mean, log_variance = (np.concatenate([answer[name] for answer in answers]) for name in LATENT)
        nats = divergence(torch.from_numpy(mean), torch.from_numpy(log_variance)).sum(dim=1).mean()
        return {**super().judge(answers), "nats": float(nats), "active": float(active_units(mean))}


class MaskTask(VAETask):
    """A mask from itself: what masks look like."""

    def seen(self, patches: Arrays) -> np.ndarray:
        """The mask."""
        return patches["segmentation"]


class PriorTask(VAETask):
    """The mask of a patch of sky, by a decoder that has learnt on masks alone and is left as it is.

    Parameters
    ----------
    network : `~astroseg_networks.vae.VAE`
        From a training for `MaskTask`; its encoder begins anew.
    patches, beta
        See `VAETask`.
    """

    def __init__(self, network: VAE, patches: int, beta: float) -> None:
        network.encoder = VAE().encoder
        network.decoder.requires_grad_(requires_grad=False)
        super().__init__(network, patches, beta)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of each latent unit from a standard normal, in nats."""
    return 0.5 * (mean**2 + torch.exp(log_variance) - log_variance - 1)


def active_units(mean: np.ndarray) -> int:
    """Number of latent units that say something of the data.

    Parameters
    ----------
    mean : `~numpy.ndarray`, shape (n, units, 1, 1)
        Of the latent vector, for patches of unseen skies.

    Notes
    -----
    Those whose mean has a variance over the data above 0.01: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519,
    section 5.2.
    """
    return int(np.count_nonzero(mean.var(axis=0) > ACTIVE))


def _patches(values: torch.Tensor) -> torch.Tensor:
    """(skies, patches, ny, nx) -> (skies times patches, 1, ny, nx)."""
    return values.reshape(-1, 1, *values.shape[2:])
