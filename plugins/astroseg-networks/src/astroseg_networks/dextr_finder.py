"""The finder: objects of any shape, from their extreme points, from boxes, or from contours that propose them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from scipy.ndimage import find_objects

from astroseg import Detections, SourceFinder, measure, standardize
from astroseg.catalog import CONCAVE, FRAGMENTED
from astroseg.errors import AstrosegWarning
from astroseg.labels import compact
from astroseg_networks.areas import put_areas
from astroseg_networks.object_masks import SOLID, object_mask, reach_of, share_pixels, solidity
from astroseg_networks.outline import open_network, probabilities, read_layers
from astroseg_networks.prompt_files import read_prompts
from astroseg_networks.prompts import Prompt, as_prompts
from astroseg_networks.proposals import propose
from astroseg_networks.runtime import hash_weights

__all__ = ["DEXTRFinder"]


class DEXTRFinder(SourceFinder):
    """A network that outlines an object from its four extreme points, or from a box around it.

    Without ``points`` it outlines what the contours of the image propose.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    polarity : str
        Whether to propose objects that are ``dark`` or ``bright`` against what surrounds them, or ``both``; ``auto`` is
        dark in images of the Sun, and bright in all others.
    min_pixels : int, pixels
        Smaller contours are not proposed. Objects that were pointed at are never too small.
    threshold : float
        Probability above which a pixel is of the object; none for that of the weights.

    Notes
    -----
    ``find`` takes ``points``: a file (see `astroseg_networks.prompt_files.read_prompts`), an array of shape (n, 4, 2),
    or a list of `~astroseg_networks.prompts.Prompt`; and ``channels``, a list of images on the same grid.

    The column ``probability`` is the mean over the pixels of the object of their probability to belong to it, as the
    network has it. Fluxes are plain sums above the median of the image.
    """

    name = "dextr"
    citation = "Maninis et al. 2018, arXiv:1711.09081 (DEXTR)"
    prompts = frozenset({"points", "channels"})
    uses = ("onnxruntime", "torch", "sunpy")

    def __init__(
        self,
        *,
        weights: str = "dextr",
        device: str = "auto",
        polarity: Literal["auto", "dark", "bright", "both"] = "auto",
        min_pixels: Annotated[int, Ge(1)] = 40,
        threshold: Annotated[float | None, Interval(gt=0, lt=1)] = None,
    ) -> None:
        self.weights = weights
        self.device = device
        self.polarity = polarity
        self.min_pixels = min_pixels
        self.threshold = threshold

    def find(self, image: Any, *, points: Any = None, channels: Any = (), **prompts: Any) -> Detections:
        """Outline the objects of an image; see `astroseg.SourceFinder.find`.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        points : path, array or list of `~astroseg_networks.prompts.Prompt`, optional
            By default what the contours of the image propose.
        channels : sequence of anything that `~astroseg.read_image` takes
            On the same grid.
        """
        self.validate()
        self.check_prompts(prompts)
        layers = read_layers(image, channels)
        image = layers[0]
        if "background" not in image.meta:
            image = standardize(image, "constant")  # a mesh would take large objects for background
        network = open_network(self.weights, self.device)
        if points is None:
            proposals = propose(image, self.polarity, self.min_pixels)
            asked, split = [item.prompt for item in proposals], [item.split for item in proposals]
        else:
            asked = read_prompts(points, image) if isinstance(points, str | Path) else as_prompts(points)
            split = [False] * len(asked)
        maps = probabilities(network, layers, asked)
        threshold = network.form.threshold if self.threshold is None else self.threshold
        owner, probability = share_pixels(image.shape, maps, asked, threshold)
        if image.mask is not None:
            owner[image.mask], probability[image.mask] = 0, 0
        fragments = _connect(owner, maps, asked, network.form)
        labels = compact(owner)
        catalog = measure(image, labels, probability=probability, correct=False)
        self._describe(catalog, labels, owner, probability, fragments, split)
        put_areas(catalog, image, labels)
        if points is not None and len(catalog) < len(asked):
            lost = len(asked) - len(catalog)
            warnings.warn(
                f"{lost} of {len(asked)} objects in {image.meta['name']} have no pixel: the network sees none there.",
                AstrosegWarning,
                stacklevel=2,
            )
        return self.detections(image, catalog, labels, probability)

    def identity(self) -> dict[str, str]:
        """What the answer depends on besides the options: the file of weights."""
        return {"weights_sha256": hash_weights(self.weights, self.device)}

    @staticmethod
    def _describe(catalog, labels, owner, probability, fragments, split) -> None:
        """Add what is known of each object besides what is measured."""
        inside = np.flatnonzero(labels)
        number = labels.ravel()[inside]
        index = np.zeros(len(catalog) + 1, dtype=int)
        index[number] = owner.ravel()[inside] - 1
        index = index[1:]
        total = np.bincount(number, probability.ravel()[inside], len(catalog) + 1)[1:]
        catalog["probability"] = total / np.bincount(number, minlength=len(catalog) + 1)[1:]
        boxes = enumerate(find_objects(labels), start=1)
        solid = np.array([solidity(labels[box] == label) for label, box in boxes], dtype=float)
        pieces = np.array(fragments, dtype=np.int32)[index]
        concave = (solid < SOLID) | np.array(split, dtype=bool)[index]
        catalog["flags"] |= np.where(pieces > 0, FRAGMENTED, 0) | np.where(concave, CONCAVE, 0)
        catalog["dextr_prompt"] = (index + 1).astype(np.int32)
        catalog["dextr_prompt"].info.description = "Number of the points, box or proposal that it was outlined from"
        catalog["dextr_fragments"] = pieces
        catalog["dextr_fragments"].info.description = "Number of parts that were left out, as not connected with it"
        catalog["dextr_solidity"] = solid
        catalog["dextr_solidity"].info.description = "Area over that of the convex hull"


def _connect(owner: np.ndarray, maps, prompts: list[Prompt], form) -> list[int]:
    """Leave of each object the parts that belong together, and count the others."""
    fragments = []
    for index, ((place, _), prompt) in enumerate(zip(maps, prompts, strict=True)):
        own = owner[place] == index + 1
        mask, number = object_mask(own, prompt, place, reach_of(prompt, form))
        owner[place][own & ~mask] = 0
        fragments.append(number)
    return fragments
