"""Where dextr fails: the objects with the lowest overlap in each simulated domain, and typical ones beside them.

Usage: python benchmarks/dextr_pictures.py PNG [--objects 100] [--weights FILE]
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from astroseg_networks.dextr_finder import DEXTRFinder
from astroseg_networks.irregular_scenes import DOMAINS
from dextr import Case, draw, simulated_cases
from PIL import Image

from astroseg.errors import AstrosegWarning

WORST, TYPICAL = 4, 2  # of each domain
COLORS = 96


def chosen(cases: list[Case]) -> list[Case]:
    """The worst ones, and two from the middle."""
    ordered = sorted(cases, key=lambda case: case.iou)
    middle = len(ordered) // 2
    return ordered[:WORST] + ordered[middle : middle + TYPICAL]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, metavar="PNG")
    parser.add_argument("--objects", type=int, default=100, help="of each domain to choose from; default: 100")
    parser.add_argument("--weights", default="dextr", help="default: those that ship")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstrosegWarning)
    finder = DEXTRFinder(weights=options.weights)
    shown = [case for domain in DOMAINS for case in chosen(list(simulated_cases(domain, options.objects, finder)))]
    draw(options.path, shown)
    with Image.open(options.path) as picture:
        small = picture.convert("RGB").quantize(COLORS, Image.Quantize.FASTOCTREE)
    small.save(options.path, optimize=True)


if __name__ == "__main__":
    main()
