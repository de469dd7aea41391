"""The convolutional autoencoder: the finder."""

import numpy as np
import pytest
from astroseg_networks.cae_finder import CAEFinder

from astroseg import AstrosegWarning
from astroseg.testing import make_field, parametrize_finders


@parametrize_finders(CAEFinder(device="cpu"), CAEFinder(device="cpu", method="yen", min_pixels=5))
def test_conformance(finder, check):
    check(finder)


def test_finds_the_sources_and_their_pixels():
    image, truth = make_field()
    found = CAEFinder(device="cpu").find(image)
    inside = found.labels[tuple(np.rint(truth[name].value).astype(int) for name in ("y_centroid", "x_centroid"))]
    assert np.all(inside > 0)
    assert np.count_nonzero(found.catalog["snr"] > 6) <= len(truth) + 1
    model, _ = make_field(noise=0)
    true, mask = model.data > 2e-4, found.labels > 0  # the isophote of twice the noise
    assert np.count_nonzero(true & mask) / np.count_nonzero(true | mask) > 0.6


def test_a_beam_it_was_not_trained_on_is_flagged():
    with pytest.warns(AstrosegWarning, match="cae has not been trained for field: its beam is 9"):
        CAEFinder(device="cpu").find(make_field(beam=9.0)[0])
