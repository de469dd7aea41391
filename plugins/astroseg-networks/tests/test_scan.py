"""Patch by patch is as good as at once."""

import numpy as np
import pytest
from astroseg_networks.normalisation import CANONICAL_BEAM
from astroseg_networks.scan import scan
from astroseg_networks.weights import WeightsError
from scipy import ndimage

KERNEL = np.random.default_rng(0).normal(size=(7, 7))


class Network:
    """One that sees three pixels far, and remembers what it was shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, batch):
        self.seen.append(batch)
        answer = ndimage.correlate(batch[0, 0], KERNEL, mode="constant")
        return {"one": answer[None, None], "two": np.stack([answer, batch[0, 1]])[None], "other": None}


OWN, HALO = 512, 64


@pytest.fixture(autouse=True)
def small_patches(monkeypatch):
    """This network looks 3 pixels far, and images of several patches are to be small."""
    monkeypatch.setattr("astroseg_networks.scan.OWN", OWN)
    monkeypatch.setattr("astroseg_networks.scan.HALO", HALO)


def maps(shape):
    return {"one": np.full((1, *shape), np.nan, "f4"), "two": np.full((2, *shape), np.nan, "f4")}


def scanned(image, beam=3.0, network=None):
    filled = maps(image.shape)
    scan(network or Network(), image, beam, filled)
    return filled


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (16, 16), (511, 513), (700, 1100), (1040, 90), (1536, 512)])
def test_equals_the_whole_image(shape):
    image = np.random.default_rng(1).normal(0, 3, shape).astype("f4")
    whole = ndimage.correlate(np.arcsinh(image), KERNEL, mode="constant")
    found = scanned(image)
    np.testing.assert_array_equal(found["one"][0], whole)
    np.testing.assert_array_equal(found["two"][0], whole)
    np.testing.assert_allclose(found["two"][1], np.log(3 / CANONICAL_BEAM), rtol=1e-6)


def test_patches_have_sides_that_a_network_takes():
    network = Network()
    scanned(np.ones((1100, 530), "f4"), network=network)
    assert len(network.seen) == 6
    for batch in network.seen:
        assert batch.dtype == np.float32
        assert batch.shape[:2] == (1, 2)
        assert all(length % 16 == 0 and length <= OWN + 2 * HALO for length in batch.shape[2:])
        assert np.ptp(batch[0, 1]) == 0  # the beam, beyond the edge of the image, too


def test_the_order_in_memory_does_not_matter():
    image = np.random.default_rng(2).normal(size=(600, 70)).astype("f4")
    twice = np.repeat(image, 2, axis=1)[:, ::2]
    for other in (np.asfortranarray(image), twice, image[::-1][::-1]):
        np.testing.assert_array_equal(scanned(other)["one"], scanned(image)["one"])


def test_the_image_is_untouched():
    image = np.ones((20, 20), "f4")
    image.flags.writeable = False
    scanned(image)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(value):
    def network(batch):
        return {"one": np.full((1, 1, *batch.shape[2:]), value, "f4"), "two": batch}

    with pytest.raises(WeightsError, match="not a finite number"):
        scanned(np.ones((20, 20), "f4"), network=network)
