"""One object, outlined at once: what a page on which one clicks asks for.

Only the crop around the object is looked at, and the network is read once a process, so that the answer comes within a
fraction of a second from an image of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.nddata import CCDData

from astroseg import read_image
from astroseg.catalog import CONCAVE, EDGE, FRAGMENTED
from astroseg.contours import trace_labels
from astroseg.errors import AstrosegError, ImageError, UsageError
from astroseg_networks.crop import Slices
from astroseg_networks.dextr_input import FORMS, Form, network_planes
from astroseg_networks.object_masks import bounding_box, is_concave, object_mask, reach_of
from astroseg_networks.patches import logistic
from astroseg_networks.prompts import Points, Prompt
from astroseg_networks.runtime import Runtime, hash_weights, open_runtime
from astroseg_networks.weights import WeightsError, find_weights

if TYPE_CHECKING:
    from astroseg_networks.dextr_finder import DEXTRFinder

__all__ = ["Network", "Outlined", "open_network", "outline", "probabilities", "read_layers"]

BATCH = 8  # objects at once on a GPU; a CPU is as fast with one, and the answer never depends on the others


@dataclass(frozen=True, eq=False)
class Outlined:
    """The answer for one object.

    Parameters
    ----------
    mask : 2-D `~numpy.ndarray` of bool
        Of a part of the image.
    probability : 2-D `~numpy.ndarray` of float32
        Of its pixels to belong to the object.
    place : (slice, slice)
        Rows and columns of that part in the image.
    polygons, holes : list of `~numpy.ndarray`, shape (n, 2)
        Outlines along the edges of the pixels: (x, y), 0-based pixels of the image.
    score : float
        Mean probability of the pixels of the mask; NaN where it is empty.
    flags : int
        Bits of `astroseg.catalog.FLAGS`.
    """

    mask: np.ndarray
    probability: np.ndarray
    place: Slices
    polygons: list[np.ndarray]
    holes: list[np.ndarray]
    score: float
    flags: int

    def labels(self, shape: tuple[int, int], label: int = 1) -> np.ndarray:
        """The mask as a label image.

        Parameters
        ----------
        shape : (int, int)
            Of the image, (ny, nx).
        label : int

        Returns
        -------
        2-D `~numpy.ndarray` of int32
        """
        whole = np.zeros(shape, dtype=np.int32)
        whole[self.place][self.mask] = label
        return whole


def outline(
    image: Any,
    *,
    points: Points | None = None,
    box: Sequence[float] | None = None,
    inside: Points = (),
    outside: Points = (),
    channels: Sequence[Any] = (),
    finder: DEXTRFinder | None = None,
) -> Outlined:
    """Outline one object.

    Parameters
    ----------
    image : anything that `~astroseg.read_image` takes
        Read it once, where several objects are to be outlined.
    points : array of shape (4, 2), pixels
        The leftmost, rightmost, lowest and highest point of the object, in any order: 0-based (x, y).
    box : (left, bottom, right, top), pixels
        Instead of the points, a box that may be loose.
    inside, outside : array of shape (n, 2), pixels
        Corrections: clicks on the object that were not in the mask, and clicks beside it that were.
    channels : sequence of images on the same grid
    finder : `~astroseg_networks.dextr_finder.DEXTRFinder`, optional
        Says which weights, device and threshold.

    Returns
    -------
    Outlined
        With an empty mask where there is nothing.

    Raises
    ------
    UsageError
        The points are not four, span no area, or lie outside the image; so does the box.
    AstrosegError
        The image is blank there, or all of one brightness.
    """
    if finder is None:
        from astroseg_networks.dextr_finder import DEXTRFinder

        finder = DEXTRFinder()
    finder.validate()
    network = open_network(finder.weights, finder.device)
    layers = read_layers(image, channels)
    prompt = Prompt(points=points, box=box, inside=inside, outside=outside)
    ((place, probability),) = probabilities(network, layers, [prompt])
    threshold = network.form.threshold if finder.threshold is None else finder.threshold
    blank = layers[0].mask
    inner = probability > threshold if blank is None else (probability > threshold) & ~blank[place]
    mask, fragments = object_mask(inner, prompt, place, reach_of(prompt, network.form))
    return _outlined(mask, probability, place, layers[0].shape, fragments)


def _outlined(mask, probability, place, shape, fragments) -> Outlined:
    box = bounding_box(mask)
    traced = trace_labels(mask[box].astype(np.int32))
    corner = np.array([place[1].start + box[1].start, place[0].start + box[0].start])
    polygons, holes = ([item.vertices + corner for item in traced if item.hole is hole] for hole in (False, True))
    ends = [edge for side, length in zip(place, shape, strict=True) for edge in (side.start == 0, side.stop == length)]
    cut = [end and edge.any() for end, edge in zip(ends, (mask[0], mask[-1], mask[:, 0], mask[:, -1]), strict=True)]
    flags = EDGE * any(cut) | FRAGMENTED * bool(fragments) | CONCAVE * is_concave(mask[box])
    score = float(probability[mask].mean()) if mask.any() else float("nan")
    return Outlined(mask, probability, place, polygons, holes, score, flags)


@dataclass(frozen=True)
class Network:
    """A network, ready to run, and how it wants to be asked."""

    runtime: Runtime
    form: Form
    channels: int


def open_network(weights: str, device: str) -> Network:
    """Make the network ready to run, where it is not yet.

    Parameters
    ----------
    weights, device : str
        As in `~astroseg_networks.runtime.open_runtime`.

    Raises
    ------
    WeightsError
        They cannot be used.
    """
    return _opened(weights, device, hash_weights(weights, device))


@lru_cache(maxsize=2)
def _opened(weights: str, device: str, _: str) -> Network:
    runtime = open_runtime(weights, "dextr", device, _build, maps={"segmentation": 1}, full_precision=True)
    form = runtime.card.get("form")
    if form not in FORMS:
        msg = f"Cannot use the weights {find_weights(weights)}: their form {form!r} is none of {', '.join(FORMS)}."
        raise WeightsError(msg)
    return Network(runtime, FORMS[form], runtime.card["architecture"].get("channels", 1))


def _build(arguments: dict[str, Any]) -> Any:
    from astroseg_networks.dextr import DEXTR

    return DEXTR(**arguments)


def read_layers(image: Any, channels: Sequence[Any]) -> list[CCDData]:
    """The image and its further channels.

    Raises
    ------
    ImageError
        A channel has another size.
    """
    layers = [read_image(source) for source in (image, *channels)]
    for layer in layers[1:]:
        if layer.shape != layers[0].shape:
            sizes = [" x ".join(map(str, reversed(one.shape))) for one in (layer, layers[0])]
            msg = f"The channel {layer.meta['name']} has {sizes[0]} pixels, {layers[0].meta['name']} has {sizes[1]}."
            raise ImageError(msg)
    return layers


def probabilities(
    network: Network, layers: Sequence[CCDData], prompts: Sequence[Prompt]
) -> list[tuple[Slices, np.ndarray]]:
    """Probability of the pixels around each object to belong to it.

    A network of one channel sees the channels one by one, and its logits are averaged.

    Parameters
    ----------
    network : Network
    layers : sequence of `~astropy.nddata.CCDData`
    prompts : sequence of Prompt

    Returns
    -------
    list of ((slice, slice), 2-D `~numpy.ndarray` of float32)
        For each object rows and columns of a part of the image, and the probabilities there.

    Raises
    ------
    UsageError
        An object lies outside the image, or the network takes another number of channels.
    AstrosegError
        There is nothing to see.
    """
    form, shape = network.form, layers[0].shape
    if network.channels not in (1, len(layers)):
        msg = f"These weights take {network.channels} images on one grid, not {len(layers)}; give them by --channel."
        raise UsageError(msg)
    groups = [layers] if network.channels == len(layers) else [[layer] for layer in layers]
    pixels = [[(layer.data, layer.mask) for layer in group] for group in groups]
    for prompt in prompts:
        check_inside(prompt, shape, layers[0].meta["name"])
    crops = [form.crop(prompt) for prompt in prompts]
    planes = [
        [network_planes(group, prompt, crop, form) for group in pixels]
        for prompt, crop in zip(prompts, crops, strict=True)
    ]
    _check_seen(planes, prompts, layers[0].meta["name"], 2 * network.channels)
    if not prompts:
        return []
    logits = _both_ways(network.runtime, [one for several in planes for one in several])
    logits = logits.reshape(len(prompts), len(groups), form.size, form.size).mean(axis=1)
    return [crop.paste(logistic(logit), shape) for crop, logit in zip(crops, logits, strict=True)]


def check_inside(prompt: Prompt, shape: tuple[int, int], name: str) -> None:
    """Raise `UsageError` where the points or the box of an object lie outside the image."""
    clicks = [points for points in (prompt.points, prompt.inside, prompt.outside) if points is not None]
    corners = np.concatenate([np.reshape(prompt.box if prompt.box is not None else (), (-1, 2)), *clicks])
    outside = (corners < -0.5).any(axis=1) | (corners > np.array(shape[::-1]) - 0.5).any(axis=1)
    if outside.any():
        x, y = corners[outside][0]
        msg = (
            f"The point ({x:g}, {y:g}) of {prompt.name} lies outside {name}, which has {shape[1]} x {shape[0]} pixels."
        )
        raise UsageError(msg)


def _check_seen(planes, prompts, name, views) -> None:
    for prompt, several in zip(prompts, planes, strict=True):
        if not any(one[:views, one[views + 1] > 0].any() for one in several):  # in its box
            msg = f"There is nothing to outline at {prompt.name}: {name} is blank there, or of one brightness."
            raise AstrosegError(msg)


def _both_ways(runtime: Runtime, inputs: list[np.ndarray]) -> np.ndarray:
    """Mean logits of the inputs as they are and turned by half a turn, which errs elsewhere."""
    turned = _run(runtime, [one[:, ::-1, ::-1] for one in inputs])
    return (_run(runtime, inputs) + turned[:, ::-1, ::-1]) / 2


def _run(runtime: Runtime, inputs: list[np.ndarray]) -> np.ndarray:
    """Logits of some inputs, always in batches of one size."""
    size = 1 if runtime.device == "cpu" else BATCH
    found = []
    for first in range(0, len(inputs), size):
        batch = np.zeros((size, *inputs[0].shape), dtype=np.float32)
        part = inputs[first : first + size]
        batch[: len(part)] = part
        found.append(runtime(batch)["segmentation"][: len(part), 0])
    return np.concatenate(found)
