"""What the restorers that run a network have in common."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.nddata import CCDData

from astroseg import Restorer
from astroseg.dirty import DirtyImage
from astroseg.errors import AstrosegWarning
from astroseg_networks.consistency import corrected, full_width, smallest
from astroseg_networks.image_pairs import exposure_of
from astroseg_networks.runtime import Runtime, hash_weights, open_runtime

__all__ = ["STEPS", "NetworkRestorer"]

STEPS = 14  # of a correction


class NetworkRestorer(Restorer):
    """Base of the restorers: a network makes a model of the sky of a dirty image, and that is convolved with the beam.

    The model is then corrected until it explains what was measured (`astroseg_networks.consistency`).
    A subclass has the options ``weights``, ``device``, ``steps`` and ``residuals``, and writes `build` and `model`.
    """

    weights: str
    device: str
    steps: int
    residuals: bool

    def restore(self, image: Any, *, psf: Any = None, visibilities: Any = None, **prompts: Any) -> CCDData:
        """Restore a dirty image.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        psf, visibilities : optional
            See `~astroseg.dirty.DirtyImage.of`.
        **prompts
            Not used.

        Returns
        -------
        `~astropy.nddata.CCDData`
            See `~astroseg.dirty.DirtyImage.restored`. Its ``meta["restorer"]["trained"]`` tells whether the network has
            been trained for images of this kind; where it has not, there is a warning. ``"noise"`` is that of the dirty
            image by the errors of the visibilities, where they are known.
        """
        self.validate()
        dirty = DirtyImage.of(image, psf, visibilities)
        network = open_runtime(self.weights, self.name, self.device, self.build, maps={"model": 1}, full_precision=True)
        trained = self._is_trained(network, dirty)
        scale = _scale(network, dirty)
        model = np.zeros(dirty.data.shape, dtype=np.float32)
        if _varies(dirty.data[~dirty.blank]):  # a constant shows nothing
            made = smallest(dirty, np.where(dirty.blank, 0, self.model(network, dirty, scale)))
            model = (scale * corrected(dirty, made, self.steps, scale)).astype(np.float32)
        restored = dirty.restored(model, dirty.residual(model) if self.residuals else None)
        restored.meta["restorer"] = {
            "name": self.name,
            **self.get_params(),
            "weights_sha256": hash_weights(self.weights, self.device),
            "trained": trained,
            "noise": dirty.noise,
        }
        return restored

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        raise NotImplementedError

    def model(self, network: Runtime, dirty: DirtyImage, scale: float) -> np.ndarray:
        """The model over ``scale``, the largest absolute value of the image; float32 of shape (ny, nx)."""
        raise NotImplementedError

    def _is_trained(self, network: Runtime, dirty: DirtyImage) -> bool:
        """Whether the network knows beams of such a width, and warn where it does not."""
        width, known = full_width(dirty), network.card["calibration"].get("beams")
        if width is None or not known:
            return True
        narrowest, widest = known
        if narrowest <= width <= widest:
            return True
        warnings.warn(
            f"{self.name} has not been trained for {dirty.image.meta['name']}: its beam is {width:.3g} pixels wide, "
            f"and the weights know {narrowest:g} to {widest:g}. Look at the residuals.",
            AstrosegWarning,
            stacklevel=3,
        )
        return False


def _scale(network: Runtime, dirty: DirtyImage) -> float:
    """What is 1 to the network: the largest value of the image, so that its unit does not matter, or of a data set."""
    known = network.card["calibration"].get("scale")
    return float(np.abs(dirty.data).max(initial=0)) if known is None else known * exposure_of(dirty.image)


def _varies(values: np.ndarray) -> bool:
    return bool(values.size) and bool(values.min() < values.max())
