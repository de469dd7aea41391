"""Learned finders: networks that saw many simulated skies, and what trains them."""

from collections.abc import Callable

from astroseg import hookimpl

__all__ = ["register_finders", "register_trainers"]

Register = Callable[[str, str, str], None]


@hookimpl
def register_finders(register: Register) -> None:
    """Register the finders."""
    register("unet", "astroseg_networks.unet_finder:UNetFinder", "Residual U-Net with several heads, for radio images")
    register("vae", "astroseg_networks.vae_finder:VAEFinder", "Variational autoencoder of patches, with uncertainties")
    register("cae", "astroseg_networks.cae_finder:CAEFinder", "Convolutional autoencoder of patches")
    register("continunet", "astroseg_networks.continunet_finder:ContinUNetFinder", "Plain published U-Net, a baseline")


@hookimpl
def register_trainers(register: Register) -> None:
    """Register the trainers, of the same names."""
    register("unet", "astroseg_networks.unet_trainer:UNetTrainer", "Train the U-Net on simulated skies or your own")
    register("vae", "astroseg_networks.vae_trainer:VAETrainer", "Train the variational autoencoder")
    register("cae", "astroseg_networks.cae_trainer:CAETrainer", "Train the convolutional autoencoder")
    register("continunet", "astroseg_networks.continunet_trainer:ContinUNetTrainer", "Train ContinUNet")
