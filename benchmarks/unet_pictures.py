"""Where a finder fails: its brightest missed and most significant false sources on skies that it was not trained on.

Solid outlines are the finder's, dashed ones the truth; the cross is the place of what was missed or made up.

Usage: python benchmarks/unet_pictures.py FILE [--backend unet]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

from matplotlib import pyplot as plt

from astroseg.compare import compare
from astroseg.errors import AstrosegWarning
from astroseg.report.gallery import Cutout, cutouts
from astroseg.simulate.radio import simulate_radio

KINDS = ("missed", "false")
SKIES = {"sdc1": (820001, 512), "crowded": (820011, 256), "extended": (820021, 512)}


def cutouts_of(preset: str, backend: str, folder: Path) -> dict[str, list[Cutout]]:
    """The cutouts of a simulated sky, by kind."""
    seed, size = SKIES[preset]
    sky = simulate_radio(preset=preset, size=size, seed=seed)
    sky.write(folder / preset)
    files = (folder / f"{preset}.fits", folder / f"{preset}.truth.ecsv")
    chosen = defaultdict(list)
    for cutout in cutouts(compare(files[0], backend, folder, truth=files[1])):
        chosen[cutout.kind].append(cutout)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--backend", default="unet", metavar="NAME[:key=value,...]")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstrosegWarning)
    figure, axes = plt.subplots(len(SKIES), 8, figsize=(10, 4.4), layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    with tempfile.TemporaryDirectory() as folder:
        for row, preset in zip(axes, SKIES, strict=True):
            chosen = cutouts_of(preset, options.backend, Path(folder))
            for first, kind in zip((0, 4), KINDS, strict=True):
                for ax, cutout in zip(row[first : first + 4], chosen[kind], strict=False):
                    ax.imshow(plt.imread(io.BytesIO(cutout.png)))
                    ax.set_title(f"{preset}: {kind}\n{cutout.caption.split(', ')[-1]}", fontsize=8)
    figure.savefig(options.file, dpi=110)


if __name__ == "__main__":
    main()
