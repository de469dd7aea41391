"""Against SExtractor itself, on the field that comes with sep (not part of the repository)."""

import os
from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits
from astroseg_sep.finder import SepFinder

from astroseg import read_image, standardize

FOLDER = Path(os.environ.get("ASTROSEG_REAL_DATA", "")) / "optical" / "sep"

pytestmark = [
    pytest.mark.skipif(
        "ASTROSEG_REAL_DATA" not in os.environ, reason="ASTROSEG_REAL_DATA does not point at real images"
    ),
    pytest.mark.filterwarnings("ignore:The following header keyword is invalid"),
]


def test_agrees_with_sextractor():
    data = fits.getdata(FOLDER / "image.fits").astype(np.float32)
    background = sep.Background(data)
    np.testing.assert_allclose(background.back(), fits.getdata(FOLDER / "back.fits"), rtol=1e-6)
    # SExtractor compares with one noise for the whole image.
    noise = np.full(data.shape, background.globalrms)
    image = standardize(read_image(FOLDER / "image.fits"), background.back(), noise)
    found = SepFinder(thresh=1.5).find(image).catalog

    reference = np.loadtxt(FOLDER / "image.cat")
    x, y, flags = reference[:, 1] - 1, reference[:, 2] - 1, reference[:, 20].astype(int)
    distance = np.hypot(np.subtract.outer(x, found["sep_x"].value), np.subtract.outer(y, found["sep_y"].value))
    same = distance.min(axis=1) < 0.1
    # sep divides some blends otherwise.
    assert len(found) == pytest.approx(len(reference), rel=0.1)
    assert np.mean(same) > 0.9
    cut = found["sep_flag"][distance.argmin(axis=1)] & 2 > 0
    np.testing.assert_array_equal(cut[same], flags[same] & 8 > 0)


def test_finds_more_than_a_thousand_sources_of_a_crowded_radio_field():
    # SKA Data Challenge 1, 560 MHz, 1000 h, of which about 1000 sources are detectable.
    found = SepFinder().find(FOLDER.parents[1] / "radio" / "sdc1" / "sdc1_b1_1000h_west.fits")
    assert 1000 < len(found) < 1300
