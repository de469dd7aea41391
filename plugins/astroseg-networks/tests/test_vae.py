"""The variational autoencoder: the finder, and what it has in common with the convolutional one."""

import numpy as np
import pytest
from astroseg_networks.vae_finder import VAEFinder
from astroseg_networks.weights import find_weights, read_weights

from astroseg import AstrosegWarning, NoDetectionsWarning
from astroseg.catalog import UNTRUSTED
from astroseg.testing import make_field, parametrize_finders
from astroseg.testing.finder_checks import check_rotated_image


@parametrize_finders(VAEFinder(device="cpu"), VAEFinder(device="cpu", weights="vae-prior", samples=2, min_pixels=5))
def test_conformance(finder, check):
    check(finder)


@pytest.mark.xfail(
    reason="Yen's threshold is so low that sources grow into the bumps of noise beside them", strict=True
)
def test_conformance_of_yen_when_turned():
    check_rotated_image(VAEFinder(device="cpu", weights="vae-prior", method="yen"))


@pytest.fixture(scope="module")
def field():
    return make_field()


@pytest.mark.parametrize("weights", ["vae", "vae-prior"])
def test_finds_the_sources(field, weights):
    image, truth = field
    found = VAEFinder(weights=weights, device="cpu").find(image)
    inside = found.labels[tuple(np.rint(truth[name].value).astype(int) for name in ("y_centroid", "x_centroid"))]
    assert np.all(inside > 0)
    # Its pixels are those above twice the noise, and so it takes bumps of the noise for faint sources.
    assert np.count_nonzero(found.catalog["snr"] > 6) <= len(truth) + 1


def test_uncertainty_on_request(field):
    image, _ = field
    plain, sampled = (VAEFinder(device="cpu", samples=samples) for samples in (0, 4))
    assert "vae_uncertainty" not in plain.find(image).catalog.colnames
    found = sampled.find(image)
    column, maps = found.catalog["vae_uncertainty"], sampled.maps(image)
    assert column.info.description
    np.testing.assert_array_equal(maps["probability"], found.probability)
    for label in (1, len(found)):
        assert column[label - 1] == pytest.approx(maps["uncertainty"][found.labels == label].mean(), rel=1e-5)
    assert 0 < column.min() <= column.max() < 0.5


def test_uncertainty_is_largest_at_the_outlines(field):
    finder = VAEFinder(device="cpu", samples=4)
    maps = finder.maps(field[0])
    unsure = np.abs(maps["probability"] - 0.5) < 0.3
    assert maps["uncertainty"][unsure].mean() > 2 * maps["uncertainty"][~unsure].mean()


def test_a_lower_threshold_gives_larger_sources(field):
    areas = [np.count_nonzero(VAEFinder(device="cpu", threshold=t).find(field[0]).labels) for t in (0.2, 0.5, 0.8)]
    assert areas == sorted(areas, reverse=True)


def test_small_islands_are_dropped(field):
    found = VAEFinder(device="cpu", min_pixels=30).find(field[0])
    assert found.catalog["n_pixels"].min() >= 30


@pytest.mark.parametrize(
    ("beam", "told"), [(9.0, "its beam is 9 pixels wide, and the weights know 6 or less"), (None, "no beam")]
)
def test_an_image_it_was_not_trained_for_is_flagged(beam, told):
    image, _ = make_field(beam=beam or 5.0)
    if beam is None:
        image.meta["beam"] = None
    with pytest.warns(AstrosegWarning, match=f"vae has not been trained for field: .*{told}"):
        found = VAEFinder(device="cpu").find(image)
    assert np.all(found.catalog["flags"] & 64)


def test_an_image_it_was_trained_for_is_not_flagged(field):
    assert not np.any(VAEFinder(device="cpu").find(field[0]).catalog["flags"] & 64)


def test_no_flux_is_trusted(field):
    """It is corrected for an isophote, and the labels are none; see docs/explanation/patch-networks.rst."""
    found = VAEFinder(device="cpu").find(field[0]).catalog
    assert np.all(found["flags"] & UNTRUSTED)
    assert found.meta["weights_sha256"] == read_weights(find_weights("vae")).sha256


@pytest.mark.parametrize("method", ["fixed", "yen"])
def test_nothing_found_warns(method):
    image, _ = make_field(n_sources=0)
    image.data = np.zeros_like(image.data)
    with pytest.warns(NoDetectionsWarning):
        assert len(VAEFinder(device="cpu", method=method, samples=1).find(image)) == 0
