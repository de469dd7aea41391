"""The restorers with the weights that ship."""

import astropy.units as u
import numpy as np
import pytest
from astroseg_networks.pix2pix_restorer import Pix2PixRestorer, fitting, placed
from astroseg_networks.unrolled_restorer import UnrolledRestorer
from astroseg_networks.weights import WeightsError

from astroseg import Beam, read_image
from astroseg.clean import CleanRestorer
from astroseg.errors import AstrosegWarning, ImageError, UsageError
from astroseg.simulate.xray import simulate_xray
from astroseg.testing import parametrize_restorers

BOTH = [Pix2PixRestorer, UnrolledRestorer]


@parametrize_restorers(Pix2PixRestorer(), UnrolledRestorer())
def test_conformance(restorer, check):
    check(restorer)


@pytest.fixture(scope="module")
def flares():
    return [simulate_xray(seed=700 + number, sources=number) for number in (1, 2, 3)]


@pytest.mark.parametrize("restorer", BOTH)
def test_as_true_as_clean(flares, restorer):
    """Nearer to the truth than CLEAN on average, and no less consistent with the measurement."""

    def errors(one):
        made = [one.restore(sky.image) for sky in flares]
        off = [np.sqrt(np.mean((a.data - sky.model) ** 2)) for a, sky in zip(made, flares, strict=True)]
        return np.mean(off), np.mean([a.meta["fidelity"]["chi2"] for a in made])

    ours, clean = errors(restorer()), errors(CleanRestorer())
    assert ours[0] < clean[0]
    assert ours[1] < clean[1]


@pytest.mark.parametrize("restorer", BOTH)
def test_the_unit_does_not_matter(flares, restorer):
    image = flares[1].image
    first = restorer().restore(image)
    scaled = image.copy()
    scaled.data = image.data * np.float32(1e-3)
    scaled.psf, scaled.unit = image.psf, u.dimensionless_unscaled
    scaled.meta.pop("visibilities")
    second = restorer().restore(scaled)
    np.testing.assert_allclose(second.data, 1e-3 * first.data, atol=1e-3 * float(second.data.max()))
    assert second.meta["model"].sum() == pytest.approx(1e-3 * first.meta["model"].sum(), rel=2e-3)


@pytest.mark.parametrize("restorer", BOTH)
def test_what_is_noted(flares, restorer):
    made = restorer(steps=0).restore(flares[0].image)
    noted = made.meta["restorer"]
    assert noted["name"] == restorer.name
    assert noted["steps"] == 0
    assert len(noted["weights_sha256"]) == 64
    assert noted["trained"] is True


@pytest.mark.parametrize("restorer", BOTH)
def test_the_residual_is_added(flares, restorer):
    image = flares[0].image
    plain, added = restorer().restore(image), restorer(residuals=True).restore(image)
    np.testing.assert_allclose(added.data - plain.data, plain.meta["residual"], atol=1e-3)


@pytest.mark.parametrize("restorer", BOTH)
def test_beams_that_the_weights_do_not_know(restorer):
    coarse = simulate_xray(seed=3, size=65, pixel=8.0).image
    with pytest.warns(AstrosegWarning, match=r"not been trained for xray-3: its beam is 1.84 pixels wide"):
        made = restorer().restore(coarse)
    assert made.meta["restorer"]["trained"] is False


def test_bad_input(flares):
    with pytest.raises(ImageError, match="has no point spread function"):
        UnrolledRestorer().restore(read_image(np.ones((64, 64)), beam=Beam(6 * u.arcsec, 6 * u.arcsec)))
    with pytest.raises(UsageError, match="stages takes int"):
        UnrolledRestorer(stages=0).restore(flares[0].image)
    with pytest.raises(WeightsError, match="they are of 'unrolled', not of 'pix2pix'"):
        Pix2PixRestorer(weights="unrolled").restore(flares[0].image)


@pytest.mark.parametrize(
    ("length", "stride", "expected"),
    [(129, 32, 128), (257, 256, 256), (128, 32, 128), (130, 32, 160), (20, 32, 32), (1, 8, 8)],
)
def test_sides(length, stride, expected):
    assert fitting(length, stride) == expected


def test_places():
    values = np.arange(15.0).reshape(3, 5) + 1
    assert placed(values, (4, 6))[2, 4] == 15
    assert placed(values, (2, 2)).tolist() == [[1, 2], [6, 7]]
    for sides in ((4, 6), (3, 3), (8, 2), (7, 9)):
        middle = placed(values, sides, centred=True)[sides[0] // 2, sides[1] // 2]
        assert middle == values[1, 2]
