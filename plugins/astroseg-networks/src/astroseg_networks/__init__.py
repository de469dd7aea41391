"""Learned finders: networks that saw many simulated skies, and what trains them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from astroseg import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["register_commands", "register_finders", "register_restorers", "register_trainers"]

Register = Callable[[str, str, str], None]


@hookimpl
def register_finders(register: Register) -> None:
    """Register the finders."""
    register("unet", "astroseg_networks.unet_finder:UNetFinder", "Residual U-Net with several heads, for radio images")
    register("vae", "astroseg_networks.vae_finder:VAEFinder", "Variational autoencoder of patches, with uncertainties")
    register("cae", "astroseg_networks.cae_finder:CAEFinder", "Convolutional autoencoder of patches")
    register("continunet", "astroseg_networks.continunet_finder:ContinUNetFinder", "Plain published U-Net, a baseline")
    register("dextr", "astroseg_networks.dextr_finder:DEXTRFinder", "Objects from their extreme points or boxes")
    register("pix2pix", "astroseg_networks.pix2pix_finder:Pix2PixFinder", "Restores a dirty map, and finds in that")


@hookimpl
def register_restorers(register: Register) -> None:
    """Register the restorers."""
    register("pix2pix", "astroseg_networks.pix2pix_restorer:Pix2PixRestorer", "Translates a dirty map into a sky")
    register(
        "unrolled", "astroseg_networks.unrolled_restorer:UnrolledRestorer", "Improves a model of a sky step by step"
    )


@hookimpl
def register_trainers(register: Register) -> None:
    """Register the trainers, of the same names."""
    register("unet", "astroseg_networks.unet_trainer:UNetTrainer", "Train the U-Net on simulated skies or your own")
    register("vae", "astroseg_networks.vae_trainer:VAETrainer", "Train the variational autoencoder")
    register("cae", "astroseg_networks.cae_trainer:CAETrainer", "Train the convolutional autoencoder")
    register("continunet", "astroseg_networks.continunet_trainer:ContinUNetTrainer", "Train ContinUNet")
    register(
        "dextr", "astroseg_networks.dextr_trainer:DEXTRTrainer", "Train what outlines objects, on simulated or own ones"
    )
    register("pix2pix", "astroseg_networks.pix2pix_trainer:Pix2PixTrainer", "Train what translates dirty maps")
    register(
        "unrolled", "astroseg_networks.unrolled_trainer:UnrolledTrainer", "Train what improves models of dirty maps"
    )


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Register the command ``astroseg click``."""
    from astroseg_networks.click_command import command

    cli.add_command(command)
