"""A mosaic made block by block: no seams, the noise and the sources that were asked for, the same bytes again."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

import astroseg.simulate.mosaic as module
from astroseg import UsageError, read_catalog, read_image
from astroseg.simulate.mosaic import RadioMosaic
from astroseg.simulate.noise import autocorrelation


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 128)
    monkeypatch.setattr(module, "REACH", 40)


def test_noise_has_no_seams_and_the_correlation_of_its_kernel():
    mosaic = RadioMosaic(size=500, density=0, seed=3)
    noise = np.concatenate(list(mosaic.rows())) / mosaic.settings.rms
    assert noise.shape == (500, 500)
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(1, abs=0.01)
    expected = autocorrelation(1.0, 0.0, 0.65 * 2.5)
    across = np.mean(noise[:, 127::128][:, :3] * noise[:, 128::128][:, :3])
    assert np.mean(noise[:, :-1] * noise[:, 1:]) == pytest.approx(expected, abs=0.01)
    assert across == pytest.approx(expected, abs=0.07)  # 1500 pairs


def test_sources_lie_where_the_truth_says_also_across_seams(tmp_path):
    mosaic = RadioMosaic(size=300, density=3000, seed=5)
    files = mosaic.write(tmp_path / "sky")
    image, truth = read_image(files[0]), read_catalog(files[1])
    assert image.shape == (300, 300)
    assert image.meta["beam"].major.to_value("arcsec") == pytest.approx(1.5)
    np.testing.assert_array_equal(truth["label"], np.arange(1, len(truth) + 1))
    x, y = (np.rint(truth[name].value).astype(int) for name in ("x_centroid", "y_centroid"))
    bright = np.argsort(truth["snr"])[-30:]
    peaks = image.data[y[bright], x[bright]] / truth["peak_flux"].value[bright]
    assert np.median(peaks) == pytest.approx(0.93, abs=0.1)  # most peaks lie between the pixels


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, second = (RadioMosaic(size=200, seed=2).write(tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    other = RadioMosaic(size=200, seed=3).write(tmp_path / "c")
    assert not np.array_equal(fits.getdata(first[0]), fits.getdata(other[0]))


def test_what_only_a_whole_image_has_is_refused():
    with pytest.raises(UsageError, match="block by block"):
        RadioMosaic(size=200, preset="sdc1")
