"""The finder: restores a dirty image, and finds in that."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.nddata import CCDData

from astroseg import Detections, SourceFinder, read_image, standardize
from astroseg.catalog import UNTRAINED
from astroseg.compare import parse_backends
from astroseg.errors import AstrosegWarning, UsageError
from astroseg.image import checksum
from astroseg_networks.pix2pix_restorer import Pix2PixRestorer
from astroseg_networks.runtime import hash_weights

__all__ = ["Pix2PixFinder"]


class Pix2PixFinder(SourceFinder):
    """Restores a dirty image, what is left unexplained included, and finds and measures in that by another finder.

    An image without a point spread function is searched as it is, and a warning says so.

    Parameters
    ----------
    finder : str
        Name of the finder, and its options: ``sigma`` or ``sigma:threshold=4,deblend=true``.
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Notes
    -----
    ``find`` takes ``psf`` and ``visibilities``; see `~astroseg.dirty.DirtyImage.of`. Rows have the beam that the image
    was restored with. `Detections.image` is the restored image, on the grid of the dirty one.
    """

    name = "pix2pix"
    citation = Pix2PixRestorer.citation
    prompts = frozenset({"psf", "visibilities"})
    uses = ("onnxruntime", "torch")

    def __init__(self, *, finder: str = "sigma", weights: str = "pix2pix", device: str = "auto") -> None:
        self.finder = finder
        self.weights = weights
        self.device = device

    def validate(self) -> None:
        """Check all values, and those of the other finder."""
        super().validate()
        self._inner()

    def find(self, image: Any, *, psf: Any = None, visibilities: Any = None, **prompts: Any) -> Detections:
        """Restore an image and find its sources; see `astroseg.SourceFinder.find`.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        psf, visibilities : optional
            See `~astroseg.dirty.DirtyImage.of`.
        **prompts
            None are taken.
        """
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        searched: CCDData = image
        restorer: dict[str, Any] = {}
        if any(item is not None for item in (psf, visibilities, image.psf, image.meta.get("visibilities"))):
            restoring = Pix2PixRestorer(weights=self.weights, device=self.device, residuals=True)
            searched = restoring.restore(image, psf=psf, visibilities=visibilities)
            searched.meta["sha256"] = checksum(image)  # of what was given
            restorer = searched.meta["restorer"]
        else:
            warnings.warn(
                f"{image.meta['name']} has no point spread function: it is searched as it is.",
                AstrosegWarning,
                stacklevel=2,
            )
        if "background" not in searched.meta:
            # A mesh would take large sources for background. A correction leaves less of the noise than there was.
            noise = restorer.get("noise")
            known = None if noise is None else np.full(searched.shape, noise, dtype=np.float32)
            searched = standardize(searched, "constant", known)
        found = self._inner().find(searched)
        catalog = found.catalog
        self._describe(catalog, image, searched, restorer)
        return self.detections(searched, catalog, found.labels, found.probability)

    def identity(self) -> dict[str, str]:
        """What the answer depends on besides the options: the file of weights."""
        return {"weights_sha256": hash_weights(self.weights, self.device)}

    def _inner(self) -> SourceFinder:
        backends = parse_backends(self.finder)
        if len(backends) > 1 or backends[0].finder.name == self.name:
            msg = f"The option finder takes one other finder, for example sigma:threshold=4, not {self.finder!r}."
            raise UsageError(msg)
        return backends[0].finder

    @staticmethod
    def _describe(catalog, image, searched, restorer) -> None:
        """Add what was restored, and how well that explains what was measured."""
        catalog.meta = (
            {"restored": searched.meta["fidelity"] | {"beam": str(searched.meta["beam"])}} if restorer else {}
        )
        if restorer and not restorer["trained"]:
            catalog["flags"] |= UNTRAINED
        row, column = (
            np.clip(np.rint(catalog[name].value), 0, length - 1).astype(int)
            for name, length in zip(("y_centroid", "x_centroid"), image.shape, strict=True)
        )
        catalog["pix2pix_restored"] = np.full(len(catalog), int(bool(restorer)), dtype=np.int32)
        catalog["pix2pix_restored"].info.description = "1 where measured in a restored image, 0 in the image as it is"
        catalog["pix2pix_dirty"] = np.asarray(image.data)[row, column].astype(float)
        catalog["pix2pix_dirty"].info.description = "Dirty image at the centroid, in its unit"
