"""The finder: a U-Net that says where sources are, which pixels are theirs, and how bright and large they are."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from skimage.segmentation import expand_labels

from astroseg import Detections, SourceFinder, measure, read_image, standardize
from astroseg.background import significance
from astroseg.catalog import UNTRAINED
from astroseg.labels import compact
from astroseg.sky import beam_covariance
from astroseg_networks.calibration import logit_of, probability_in_image
from astroseg_networks.decoding import Centres, add_certain, assign_pixels, find_centres, source_parameters
from astroseg_networks.grid import Grid, choose_grid
from astroseg_networks.normalisation import beam_area
from astroseg_networks.parameters import put_parameters
from astroseg_networks.parts import list_parts
from astroseg_networks.patches import logistic
from astroseg_networks.runtime import hash_weights, open_runtime
from astroseg_networks.scan import scan
from astroseg_networks.untrained import is_untrained

__all__ = ["UNetFinder"]

MAPS = {
    "segmentation": 1, "centre": 1, "vote": 2, "log_flux": 2, "log_major": 2, "log_minor": 2, "angle": 2,
}  # fmt: skip

CURVES = ("score", "logit", "rarity")  # of the calibration

LEAST_BEAM = 1.8  # pixels
MOST_ELONGATED = 3.0


class UNetFinder(SourceFinder):
    """A U-Net trained on simulated radio skies.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    min_probability : float
        Sources that are less probably real are left out, save where it is beyond doubt that there is something: of
        such a hill in the image the most probable one stays.

    Notes
    -----
    The column ``probability`` is that of the source to be real, calibrated on skies that the network was not trained
    on. Of a large source it can be low although there is no doubt of it: it may be open where its centre is. The map of
    probabilities is another matter: that of a pixel to lie where the sky without noise is brighter than
    twice the noise.

    The network knows radio images with a beam of 2 pixels or more. It sees every image on a grid on which the beam is
    round and about 2.5 pixels wide, as it is taken to be where it is not known; what it finds is brought back to the
    image. Fluxes and positions are those of the network and of the pixels together, weighted by their errors; the
    deconvolved sizes and angle are the network's.
    """

    name = "unet"
    background = "mesh"
    region = 2048  # a multiple of the network's stride: the patches see what they see in the whole image
    citation = "Ronneberger, Fischer & Brox 2015, arXiv:1505.04597 (U-Net)"
    uses = ("onnxruntime", "torch")

    def __init__(
        self,
        *,
        weights: str = "unet",
        device: str = "auto",
        min_probability: Annotated[float, Interval(gt=0, lt=1)] = 0.7,
    ) -> None:
        self.weights = weights
        self.device = device
        self.min_probability = min_probability

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Find the sources of an image; see `astroseg.SourceFinder.find`."""
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        if "background" not in image.meta:
            image = standardize(image, self.background)
        runtime = open_runtime(
            self.weights, "unet", self.device, _build, maps=MAPS, curves=("score", "logit", "rarity")
        )
        untrained = is_untrained("unet", image, narrowest=LEAST_BEAM, elongation=MOST_ELONGATED)
        grid = choose_grid(image.shape, beam_covariance(image.meta.get("beam"), image.wcs))
        values = significance(image)
        sky = grid.sample(values)
        maps = {name: np.zeros((count, *grid.shape), dtype=np.float32) for name, count in MAPS.items()}
        scan(runtime, sky, grid.beam, maps)
        calibration = runtime.card["calibration"]
        beams = np.count_nonzero(sky) / beam_area(grid.beam)
        centres = find_centres(maps, logit_of(self.min_probability, calibration), grid.beam)
        probable = probability_in_image(centres.score, beams, calibration) >= self.min_probability
        centres = add_certain(maps, centres[probable], sky, grid.beam)
        labels, index = _labels(grid, maps, centres, image.mask)
        catalog = measure(image, labels)
        catalog["probability"] = probability_in_image(centres.score, beams, calibration)[index]
        list_parts(catalog, labels, values, image)
        parameters = source_parameters(maps, centres, sky, grid.beam)
        put_parameters(catalog, image, labels, values, grid, centres, parameters, index)
        catalog["flags"] |= UNTRAINED if untrained else 0
        return self.detections(image, catalog, labels, _probability(grid, maps, image.mask))

    def identity(self) -> dict[str, str]:
        """What the answer depends on besides the options: the file of weights."""
        return {"weights_sha256": hash_weights(self.weights, self.device)}


def _build(arguments: dict[str, Any]) -> Any:
    from astroseg_networks.unet import UNet

    return UNet(**arguments)


def _probability(grid: Grid, maps: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
    """Probability of each pixel of the image, 0 where blank."""
    probability = grid.restore(logistic(maps["segmentation"][0]), 1)
    return probability if mask is None else np.where(mask, np.float32(0), probability)


def _labels(
    grid: Grid, maps: dict[str, np.ndarray], centres: Centres, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The label image, and the index of the centre of each label."""
    owner = assign_pixels(maps, centres, grid.beam)
    if not grid.same:
        owner = _owner_on_image(grid, owner, maps["segmentation"][0], centres)
    if mask is not None:
        owner = np.where(mask, np.int32(0), owner)
    labels = compact(owner)
    index = np.zeros(labels.max() + 1, dtype=np.intp)
    inside = np.flatnonzero(owner)
    index[labels.ravel()[inside]] = owner.ravel()[inside] - 1
    return labels, index[1:]


def _owner_on_image(grid, owner, segmentation, centres) -> np.ndarray:
    """Outlines follow the segmentation between the pixels of the grid; every source has the pixel of its peak.

    Where several peaks lie in one pixel of the image, it belongs to the most probable one.
    """
    height = np.clip(np.abs(segmentation), 1e-3, 4) * np.where(owner > 0, np.float32(1), np.float32(-1))
    nearest = grid.restore(expand_labels(owner, 2), 0)
    found = np.where(grid.restore(height, 1) > 0, nearest, np.int32(0))
    place = np.stack(grid.positions(centres.column, centres.row))
    inside = np.clip(place, 0, np.array(grid.image_shape[::-1])[:, np.newaxis] - 1)
    # The grid may be larger than the image: its corners show nothing.
    number = np.flatnonzero(np.abs(grid.matrix @ (place - inside)).max(axis=0) < 1.5)[::-1]
    column, row = np.rint(inside[:, number]).astype(np.intp)
    found[row, column] = number + 1
    return found
