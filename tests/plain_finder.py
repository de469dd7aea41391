"""A finder that searches regions, in a module of its own: workers import it by this name."""

import numpy as np

from astroseg import SourceFinder, read_image, standardize
from astroseg.background import significance
from astroseg.labels import hysteresis
from astroseg.measurement import measure


class Plain(SourceFinder):
    """Islands above 5 sigma, in regions of 100 pixels."""

    name = "plain"
    background = "constant"
    region = 100
    overlap = 24

    def find(self, image, **prompts):
        image = read_image(image)
        image = image if "background" in image.meta else standardize(image, self.background)
        labels = hysteresis(significance(image), 3, 5, 3)
        catalog = measure(image, labels)
        catalog["plain_kind"] = np.where(catalog["snr"] > 20, "bright", "faint")
        catalog.meta["plain_notes"] = [{"x": int(x), "y": int(y)} for x, y in zip(
            catalog["x_centroid"].value, catalog["y_centroid"].value, strict=True)]  # fmt: skip
        return self.detections(image, catalog, labels)
