"""What a second image on the same grid is worth to dextr, on unseen simulated objects of all domains.

In the second image the object is brighter or darker than what surrounds it, by 2.5 to 60 times the noise, or, of one in
five, not to be seen. ``both`` is what ``--channel`` does with weights of one image: the mean of the logits.

With ``--two``, also a network that sees both at once; the other one should have been trained for as long:

    astroseg train dextr --output one --set steps=3000
    astroseg train dextr --output two --set steps=3000 --set channels=2

Usage: python benchmarks/dextr_channels.py [--objects 300] [--weights FILE] [--two FILE]
"""

from __future__ import annotations

import argparse

import numpy as np
from astroseg_networks.dextr import VIEWS
from astroseg_networks.dextr_examples import SimulatedObjects
from astroseg_networks.dextr_input import FORMS
from astroseg_networks.dextr_task import overlap
from astroseg_networks.outline import open_network


def logits(weights: str, planes: list[int], examples: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Of each object, on the grid of the network."""
    runtime = open_network(weights, "auto").runtime
    return np.stack([runtime(example["image"][None, planes])["segmentation"][0, 0] for example in examples])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=300)
    parser.add_argument("--weights", default="dextr", help="of a network of one image; default: those that ship")
    parser.add_argument("--two", help="weights of a network of two images")
    options = parser.parse_args()
    examples = SimulatedObjects(FORMS["light"], 2).unseen(options.objects)
    guides = list(range(2 * VIEWS, len(examples[0]["image"])))
    first, second = list(range(VIEWS)), list(range(VIEWS, 2 * VIEWS))
    answers = {name: logits(options.weights, planes + guides, examples) for name, planes in
               (("first", first), ("second", second))}  # fmt: skip
    answers["both"] = (answers["first"] + answers["second"]) / 2
    if options.two:
        answers["both at once"] = logits(options.two, first + second + guides, examples)
    truths = [example["segmentation"][0] >= 0.5 for example in examples]
    for name, answer in answers.items():
        scores = [overlap(logit > 0, truth) for logit, truth in zip(answer, truths, strict=True)]
        print(f"{name:12} IoU {np.mean(scores):.3f} +- {np.std(scores) / np.sqrt(len(scores)):.3f}")


if __name__ == "__main__":
    main()
