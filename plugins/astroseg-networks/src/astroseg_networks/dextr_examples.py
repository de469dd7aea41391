"""Examples for dextr: an object, what a user might say of it, and the answer asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from astroseg_networks.dextr_input import Form, network_planes
from astroseg_networks.irregular_scenes import draw_scene
from astroseg_networks.irregular_shapes import random_field
from astroseg_networks.prompts import Prompt, extreme_points

__all__ = ["SimulatedObjects", "draw_prompt", "make_example"]

Arrays = dict[str, np.ndarray]

BOXES = 0.25  # share of the prompts that are boxes
LOOSE = 0.25  # most that a box is too large on each side, over its own side
EXACT = 0.3  # share of the points that are
JITTER = 3.0, 0.25  # most that the others are off: pixels, and share of the object's size
CORRECTED = 0.25  # share of the prompts with corrections
CLICKS = 3
SHARES = {"solar": 0.42, "group": 0.12, "radio": 0.19, "optical": 0.27}  # of the domains, by how hard they are
SNR = 2.5, 60.0  # of the objects to train on
BRIGHT = 60.0, 2000.0  # of what is as bright as the ribbons of a flare
BRIGHTS = 0.25  # share of these on the Sun
GENEROUS = 0.2  # share of the outlines on the Sun that run a pixel outside of the border, as people draw them
VALIDATED = 3.0, 30.0  # of those that the scores are from


class SimulatedObjects:
    """Irregular objects of all skies that astroseg simulates.

    Parameters
    ----------
    form : Form
    channels : int
        Images of each object.
    """

    def __init__(self, form: Form, channels: int) -> None:
        self.form = form
        self.channels = channels

    def draw(self, rng: np.random.Generator) -> Arrays:
        """One example."""
        return self._example(rng, SNR, exact=False)

    def unseen(self, count: int) -> list[Arrays]:
        """Examples with exact points that no training draws: its seeds have two numbers."""
        return [self._example(np.random.default_rng([0, index, 1]), VALIDATED, exact=True) for index in range(count)]

    def _example(self, rng, snr, *, exact) -> Arrays:
        domain = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        bright = not exact and domain == "solar" and rng.random() < BRIGHTS
        scene = draw_scene(rng, domain, snr=BRIGHT if bright else snr)
        mask = scene.mask
        if not exact and domain in ("solar", "group") and rng.random() < GENEROUS:
            mask = ndimage.binary_dilation(mask)
        images = [scene.image, *(_other_channel(rng, scene) for _ in range(self.channels - 1))]
        prompt = Prompt(points=extreme_points(*np.nonzero(mask))) if exact else draw_prompt(rng, mask)
        return make_example(images, mask, prompt, self.form)


def make_example(images: Sequence[np.ndarray], mask: np.ndarray, prompt: Prompt, form: Form) -> Arrays:
    """The input of the network, and the answer asked for.

    Parameters
    ----------
    images : sequence of 2-D `~numpy.ndarray`
        NaN where blank.
    mask : 2-D `~numpy.ndarray` of bool
        The object.
    prompt : Prompt
    form : Form

    Returns
    -------
    dict of `~numpy.ndarray` of float32, shape (planes, size, size)
        ``image``; ``segmentation``: share of each pixel that is of the object; ``weight``: 0 beyond the image.
    """
    crop = form.crop(prompt)
    share = crop.cut(mask, None)[np.newaxis]
    return {
        "image": network_planes([(image, None) for image in images], prompt, crop, form),
        "segmentation": np.nan_to_num(share).astype(np.float32),
        "weight": np.isfinite(share).astype(np.float32),
    }


def draw_prompt(rng: np.random.Generator, mask: np.ndarray) -> Prompt:
    """What a user might say: points that are a little off, or a loose box, at times with corrections.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    mask : 2-D `~numpy.ndarray` of bool
        The object: at least two pixels high and wide.
    """
    points = extreme_points(*np.nonzero(mask))
    inside, outside = _clicks(rng, mask, points) if rng.random() < CORRECTED else ((), ())
    if rng.random() < BOXES:
        return Prompt(box=_loose_box(rng, points).tolist(), inside=inside, outside=outside)
    size = np.ptp(points, axis=0).max()
    spread = 0.0 if rng.random() < EXACT else min(rng.uniform(0, JITTER[0]), JITTER[1] * size)
    moved = np.clip(points + rng.uniform(-spread, spread, (4, 2)), 0, np.array(mask.shape[::-1]) - 1)
    return Prompt(points=moved if np.ptp(moved, axis=0).min() >= 1 else points, inside=inside, outside=outside)


def _loose_box(rng, points) -> np.ndarray:
    """The box around the points, moved outwards on each side, and inwards a little."""
    low, high = points.min(axis=0), points.max(axis=0)
    off = rng.uniform(-0.03, LOOSE, (2, 2)) * (high - low + 1) * rng.choice([0, 1], p=[0.5, 0.5])
    return np.concatenate([low - off[0], high + off[1]])


def _clicks(rng, mask, points) -> tuple[np.ndarray, np.ndarray]:
    """Clicks on the object, and beside it within its box."""
    low, high = (np.rint(edge(points, axis=0)).astype(int) for edge in (np.min, np.max))
    box = np.s_[low[1] : high[1] + 1, low[0] : high[0] + 1]
    found = []
    for chosen in (mask[box], ~ndimage.binary_dilation(mask[box])):
        free = np.argwhere(chosen)
        number = min(int(rng.integers(0, CLICKS + 1)), len(free))
        found.append(free[rng.integers(0, max(len(free), 1), number), ::-1] + low if number else np.empty((0, 2)))
    return found[0], found[1]


def _other_channel(rng, scene) -> np.ndarray:
    """The same object at another wavelength: brighter, darker, or not to be seen."""
    height = ndimage.gaussian_filter(scene.mask.astype(np.float32), rng.uniform(0.5, 3))
    strength = rng.choice([-1, 0, 1], p=[0.3, 0.2, 0.5]) * np.exp(rng.uniform(*np.log(SNR)))
    return strength * height + random_field(rng, scene.mask.shape, rng.uniform(0, 3), shortest=rng.uniform(1, 4))
