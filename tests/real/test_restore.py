"""Real visibilities of STIX and RHESSI: maps and CLEAN against those that were published with them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astroseg import AstrosegWarning, get_restorer, read_image
from astroseg.clean import hogbom
from astroseg.dirty import DirtyImage
from astroseg.visibilities import dirty_map, grid
from astroseg.visibility_files import read_visibilities

if "ASTROSEG_REAL_DATA" not in os.environ:
    pytest.skip("set ASTROSEG_REAL_DATA to the folder of real images", allow_module_level=True)

SOLAR = Path(os.environ["ASTROSEG_REAL_DATA"]) / "solar"
PAIRS = sorted((SOLAR / "stix/pairs_20200607").glob("*.fits.gz"))


@pytest.fixture(params=PAIRS, ids=lambda path: path.name[21:34])
def pair(request):
    """One of the sets of 2020-06-07 as a dirty image, and all arrays of its file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)  # the file holds several images
        dirty = DirtyImage.of(read_image(request.param))
    with fits.open(request.param) as hdul:
        return dirty, {hdu.name: np.array(hdu.data, dtype=float) for hdu in hdul if hdu.is_image and hdu.shape}


def test_back_projection_is_that_of_the_file(pair):
    dirty, arrays = pair
    ours = dirty_map(dirty.visibilities, dirty.data.shape, dirty.wcs)
    assert np.corrcoef(ours.data.ravel(), arrays["DIRTY"].ravel())[0, 1] > 0.999999
    np.testing.assert_allclose(ours.data, arrays["DIRTY"], atol=1e-6 * arrays["DIRTY"].max())
    np.testing.assert_allclose(ours.psf, arrays["PSF"][1:-1, 1:-1], atol=1e-6)


def test_clean_is_that_of_the_file(pair):
    """A hundred points: model and residual, to the last digit of what the file holds."""
    _, arrays = pair
    model, residual = hogbom(arrays["DIRTY"], arrays["PSF"], niter=100)
    np.testing.assert_allclose(model, arrays["MODEL_HOGBOM100"], atol=1e-5 * model.max())
    np.testing.assert_allclose(residual, arrays["RESID_HOGBOM100"], atol=1e-5 * arrays["DIRTY"].max())


def test_restored_image_agrees_with_xrayvision(pair):
    """Its CLEAN has a beam of 16 arcsec and stops earlier: the same peak, nearly the same map, a worse fit."""
    dirty, arrays = pair
    image = read_image(dirty.image, beam="16,16,0")
    restored = get_restorer("clean").restore(image)
    theirs = arrays["CLEAN_XRV"]
    dirty = DirtyImage.of(image)
    assert restored.meta["fidelity"]["chi2"] < min(0.7, dirty.fidelity(arrays["MODEL_XRV"])["chi2"])
    assert np.corrcoef(restored.data.ravel(), theirs.ravel())[0, 1] > 0.96
    assert np.argmax(restored.data) == np.argmax(theirs)
    # Its own components, with our beam.
    smooth = dirty.restored(arrays["MODEL_XRV"]).data
    assert np.corrcoef(smooth.ravel(), (theirs - arrays["RESID_XRV"]).ravel())[0, 1] > 0.999999


def test_visibilities_alone():
    seen = read_visibilities(SOLAR / "stix/vis/stix_20200607_6-10keV_vis.ecsv")
    assert (seen.u.size, seen.centre, seen.date) == (24, (-1625.0, -700.0), "2020-06-07T21:39:00")
    restored = get_restorer("clean").restore(dirty_map(seen, (129, 129), grid(seen, 129, 2.0)))
    fidelity, before = restored.meta["fidelity"], restored.meta["fidelity_before"]
    assert fidelity["residual_rms"] < 0.1 * before["residual_rms"]
    assert "chi2" not in fidelity  # the file has no errors


def test_the_arc_of_2013():
    seen = read_visibilities(SOLAR / "rhessi/hsi_visibili_20131028_0156_20131028_0200_6_12.fits").resolving(6.0)
    assert seen.centre == pytest.approx((911.08, 41.82), abs=0.01)
    image = dirty_map(seen, (129, 129), grid(seen, 129, 1.0))
    restored = get_restorer("clean").restore(image)
    assert restored.meta["fidelity"]["chi2"] < 0.1 * restored.meta["fidelity_before"]["chi2"]
    # Half of the peak is passed along an arc that opens to the west, 20 to 45 arcsec long, above the phase centre.
    y, x = np.nonzero(restored.data > 0.4 * restored.data.max())
    x, y = restored.wcs.all_pix2world(x, y, 0)
    assert np.ptp(y) * (3600 if np.ptp(y) < 0.1 else 1) == pytest.approx(32, abs=13)
