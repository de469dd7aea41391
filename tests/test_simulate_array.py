"""The simulated arrays against convolution, written out, and their noise."""

from __future__ import annotations

import numpy as np
import pytest

from astroseg import UsageError, read_image
from astroseg.psf import fit_beam
from astroseg.simulate.array import simulate_array


@pytest.mark.parametrize("array", ["vla", "meerkat"])
def test_a_point_is_seen_as_the_dirty_beam(array):
    """Moved to its place between pixels by the phases of its transform; beam and map are band-limited."""
    for seed in range(20):
        sky = simulate_array(array=array, size=48, seed=seed, density=1, rms=1e-9, brightest=1.0)
        if sky.truth["simulate_kind"][0] == "point":
            break
    psf, row, along = sky.image.psf.astype(float), sky.truth[0], np.fft.fftfreq(96)
    assert psf.shape == (95, 95)
    assert psf[47, 47] == psf.max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(psf, psf[::-1, ::-1], atol=1e-6)  # of a real sky, whatever the array
    full = np.zeros((96, 96))
    full[:95, :95] = psf
    x, y = (row[name].value for name in ("x_centroid", "y_centroid"))
    phase = np.exp(-2j * np.pi * (along[:, None] * y + along * x))
    moved = np.fft.ifft2(np.fft.fft2(np.roll(full, (-47, -47), (0, 1))) * phase).real[:48, :48]
    flux = row["flux"].to_value("Jy")
    assert np.std(sky.image.data - flux * moved) < 2e-9 + 2e-3 * flux


@pytest.mark.parametrize("array", ["vla", "meerkat"])
def test_noise_beam_and_truth(array):
    sky = simulate_array(array=array, size=128, seed=2, rms=1e-4, brightest=1e-4)
    faint = simulate_array(array=array, size=128, seed=2, rms=1e-4, brightest=1e-9)
    assert np.std(faint.image.data) == pytest.approx(1e-4, rel=0.1)
    beam = sky.image.meta["beam"]
    assert beam.area_pixels(1 * beam.major.unit) ** 0.5 == pytest.approx(4 * 1.06, rel=0.25)
    assert str(fit_beam(sky.image.psf, sky.image.wcs)) == str(beam)
    assert sky.truth["flux"].max().to_value("Jy") <= 1e-4
    area = beam.area_pixels(1 * beam.major.unit)
    assert sky.model.sum() / area == pytest.approx(sky.truth["flux"].to_value("Jy").sum(), rel=0.02)
    np.testing.assert_array_equal(sky.labels > 0, sky.model > 2e-4)


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (simulate_array(size=48, seed=seed) for seed in (3, 3, 4))
    assert first.image.data.tobytes() == again.image.data.tobytes()
    assert first.image.data.tobytes() != other.image.data.tobytes()


def test_options_have_their_effect():
    plain = simulate_array(size=64)
    for given in ({"array": "meerkat"}, {"density": 3000.0}, {"beam": 6.0}, {"hours": 6.0}, {"rms": 1e-4}):
        assert not np.array_equal(simulate_array(size=64, **given).image.data, plain.image.data)
    long, short = (simulate_array(size=64, hours=hours).image.psf for hours in (8.0, 0.1))
    assert np.std(long) < np.std(short)


def test_files_hold_the_dirty_beam(tmp_path):
    sky = simulate_array(size=48)
    sky.write(tmp_path / "array")
    again = read_image(tmp_path / "array.fits")
    np.testing.assert_array_equal(again.psf, sky.image.psf)
    assert str(again.meta["beam"]) == str(sky.image.meta["beam"])


@pytest.mark.parametrize("name", ["density", "beam", "pixel", "hours", "rms", "isophote"])
def test_what_makes_no_sense_is_refused(name):
    with pytest.raises(UsageError, match=name):
        simulate_array(**{name: 0.0})
    with pytest.raises(UsageError, match="no array 'alma'"):
        simulate_array(array="alma")
