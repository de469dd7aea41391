"""Objects to train on from the user's own images, each with masks or polygons of what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from astroseg import read_image
from astroseg.errors import UsageError
from astroseg.truth import read_truth
from astroseg_networks.dextr_examples import draw_prompt, make_example
from astroseg_networks.dextr_input import Form
from astroseg_networks.prompts import Prompt, extreme_points

__all__ = ["OwnObjects"]

Arrays = dict[str, np.ndarray]

UNSEEN = 5  # of so many objects one is for validation
AROUND = 0.6  # of the longer side of an object: what is kept beside it
RIM = 16  # pixels more
LEAST = 3  # pixels, sides of an object


@dataclass(frozen=True)
class _Object:
    image: np.ndarray
    mask: np.ndarray


class OwnObjects:
    """Objects of images that come with masks, label images or polygons.

    Every fifth object is for validation.

    Parameters
    ----------
    images : sequence of anything that `~astroseg.read_image` takes
    truths : sequence of path
        Of each image; anything with outlines that `~astroseg.truth.read_truth` takes.
    form : Form

    Raises
    ------
    UsageError
        There are less than two objects.
    """

    def __init__(self, images: Sequence[Any], truths: Sequence[Any], form: Form) -> None:
        self.form = form
        found = [item for pair in zip(images, truths, strict=True) for item in _objects(*pair)]
        if len(found) < 2:
            msg = f"There are {len(found)} objects of {LEAST} x {LEAST} pixels or more to train on; two are needed."
            raise UsageError(msg)
        kept = np.arange(len(found)) % UNSEEN == UNSEEN - 1
        kept[-1] |= not kept.any()
        self.objects = [item for item, out in zip(found, kept, strict=True) if not out]
        self.kept = [item for item, out in zip(found, kept, strict=True) if out]

    def draw(self, rng: np.random.Generator) -> Arrays:
        """An object, turned and mirrored at random."""
        chosen = self.objects[rng.integers(len(self.objects))]
        turns, step = int(rng.integers(4)), int(rng.choice([-1, 1]))
        image, mask = (np.rot90(values[:, ::step], turns) for values in (chosen.image, chosen.mask))
        return make_example([image], mask, draw_prompt(rng, mask), self.form)

    def unseen(self, count: int) -> list[Arrays]:
        """At most so many objects for validation, with exact points."""
        return [
            make_example([item.image], item.mask, Prompt(points=extreme_points(*np.nonzero(item.mask))), self.form)
            for item in self.kept[:count]
        ]


def _objects(source, truth) -> list[_Object]:
    """What is around each label of an image."""
    image = read_image(source)
    labels = read_truth(truth, image=image).labels
    if labels is None:
        msg = f"The truth of {image.meta['name']} has no outlines: there is nothing to learn from."
        raise UsageError(msg)
    data = np.asarray(image.data, dtype=np.float32)
    data = data if image.mask is None else np.where(image.mask, np.float32(np.nan), data)
    boxes = enumerate(find_objects(labels), start=1)
    return [_cut(data, labels == label, box) for label, box in boxes if box is not None and _is_large(box)]


def _is_large(box) -> bool:
    return all(side.stop - side.start >= LEAST for side in box)


def _cut(data, mask, box) -> _Object:
    margin = int(AROUND * max(side.stop - side.start for side in box)) + RIM
    place = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
    return _Object(data[place], mask[place])
