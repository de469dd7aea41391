"""The finder that restores first."""

import astropy.units as u
import numpy as np
import pytest
from astroseg_networks.pix2pix_finder import Pix2PixFinder

from astroseg.catalog import UNTRAINED
from astroseg.errors import AstrosegWarning, UsageError
from astroseg.evaluate import evaluate_sources
from astroseg.simulate.xray import simulate_xray
from astroseg.testing import parametrize_finders


@parametrize_finders(Pix2PixFinder())
def test_conformance(finder, check):
    """On images that are restored already, which are searched as they are."""
    check(finder)


@pytest.fixture(scope="module")
def sky():
    return simulate_xray(seed=702, sources=2)


def test_sources_of_a_dirty_image(sky):
    found = Pix2PixFinder(finder="sigma:threshold=6,deblend=true").find(sky.image)
    counts = evaluate_sources(found.catalog, sky.truth, image=sky.image, radius=5 * u.pix).counts
    assert (counts.tp, counts.fn) == (2, 0)
    corners = [[0, 0], [128, 0], [0, 128]]
    here, there = (one.wcs.all_pix2world(corners, 0) for one in (sky.image, found.image))
    np.testing.assert_array_equal(here, there)
    assert found.catalog.meta["backend"] == "pix2pix"
    assert found.catalog.meta["restored"]["chi2"] < 1
    assert found.catalog["pix2pix_restored"].all()
    row, column = (np.rint(found.catalog[name].value).astype(int) for name in ("y_centroid", "x_centroid"))
    np.testing.assert_array_equal(found.catalog["pix2pix_dirty"], sky.image.data[row, column])


def test_psf_and_visibilities_as_prompts(sky):
    bare = sky.image.copy()
    psf, seen = sky.image.psf, bare.meta.pop("visibilities")
    bare.psf = None
    expected = Pix2PixFinder().find(sky.image).image.data
    for prompt in ({"psf": psf}, {"visibilities": seen}):
        np.testing.assert_allclose(
            Pix2PixFinder().find(bare, **prompt).image.data, expected, atol=1e-3 * expected.max()
        )
    with pytest.warns(AstrosegWarning, match="has no point spread function: it is searched as it is"):
        found = Pix2PixFinder().find(bare)
    assert not found.catalog["pix2pix_restored"].any()


def test_images_that_the_weights_do_not_know():
    coarse = simulate_xray(seed=4, size=65, pixel=8.0).image
    with pytest.warns(AstrosegWarning, match="not been trained"):
        found = Pix2PixFinder(finder="sigma:threshold=3").find(coarse)
    assert len(found)
    assert (found.catalog["flags"] & UNTRAINED).all()


@pytest.mark.parametrize(
    ("finder", "message"),
    [
        ("pix2pix", "takes one other finder"),
        ("sigma,yen", "takes one other finder"),
        ("sigma:treshold=3", "Did you mean 'threshold'"),
        ("sigmaa", "Did you mean 'sigma'"),
    ],
)
def test_bad_finders(finder, message):
    with pytest.raises(UsageError, match=message):
        Pix2PixFinder(finder=finder).validate()
