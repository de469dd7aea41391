"""The radio simulator against closed formulas: fluxes, shapes, noise, counts, labels, and its own seed."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from astroseg import UsageError, find
from astroseg.ellipse import covariance_from_fwhm
from astroseg.render import render_gaussians
from astroseg.simulate.field import radio_field
from astroseg.simulate.morphology import DISK_SHARE, DISK_SIGMA, KINDS, make_parts
from astroseg.simulate.noise import autocorrelation, correlated_noise, sidelobe_map, uneven
from astroseg.simulate.populations import PRESETS, Population, RadioSettings, draw_fluxes, radio_settings
from astroseg.simulate.radio import simulate_radio
from astroseg.simulate.stamps import draw_stamps
from astroseg.sky import pixel_covariance


@pytest.fixture(scope="module")
def sky():
    return simulate_radio(size=512, seed=3, density=1500)


def inside(sky, margin):
    return np.all(
        [
            (sky.truth[name].value > margin) & (sky.truth[name].value < length - 1 - margin)
            for name, length in zip(("x_centroid", "y_centroid"), sky.image.shape[::-1], strict=True)
        ],
        axis=0,
    )


def one(kind, flux=1.0, sigma=6.0, ratio=0.5, pa=0.6, seed=1):
    """Parts of one source, convolved with a beam of 2.5 pixels."""
    given = [np.array([value]) for value in (flux, sigma, ratio, pa)]
    parts, _ = make_parts(np.random.default_rng(seed), np.array([kind]), *given, np.array([False]))
    return parts.smeared((2.5 / 2.3548) ** 2)


# The same answer


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_bytes(preset):
    options = {"preset": preset, "size": 96, "uneven": 0.1, "blank": 0.1, "artefacts": 0.01}
    first, again, other = (simulate_radio(**options, seed=seed) for seed in (4, 4, 5))
    for name in ("model", "labels"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.image.data.tobytes() == again.image.data.tobytes()
    assert first.image.data.tobytes() != other.image.data.tobytes()


# Shapes and drawing


@pytest.mark.parametrize("kind", KINDS)
def test_every_shape_holds_its_flux_and_has_its_extent(kind):
    for seed in range(5):
        parts = one(kind, flux=7.0, seed=seed)
        model, owner = draw_stamps((301, 301), np.array([150.2]), np.array([149.7]), parts, 1e-6)
        assert model.sum(dtype=float) == pytest.approx(7.0, rel=1e-4)
        assert set(np.unique(owner)) <= {0, 1}
        y, x = np.mgrid[:301, :301] - np.array([149.7, 150.2])[:, None, None]
        assert np.sum(model * x) / 7 == pytest.approx(0, abs=0.02)
        along = y * np.cos(0.6) - x * np.sin(0.6)
        beam = (2.5 / 2.3548) ** 2
        expected = (0 if kind == "point" else 36) + beam
        # What bends or is set off from the axis adds a little to the extent across it, nothing along it.
        assert np.sum(model * along**2) / 7 == pytest.approx(expected, rel=0.02)
        moments = parts.moments()[0]
        np.testing.assert_allclose(
            moments, [np.sum(model * a * b) / 7 for a, b in ((x, x), (x, y), (y, y))], rtol=5e-3, atol=1e-4
        )


def test_disk_is_exponential():
    """Surface brightness against exp(-r / h), of which the extent along an axis is h sqrt(3)."""
    radius = np.linspace(0, 8, 400)
    inner = 1 - np.exp(-0.5 * (radius[:, None] / (np.sqrt(3) * DISK_SIGMA)) ** 2)
    np.testing.assert_allclose(inner @ DISK_SHARE, 1 - (1 + radius) * np.exp(-radius), atol=0.006)
    assert DISK_SHARE.sum() == pytest.approx(1)
    assert np.sum(DISK_SHARE * DISK_SIGMA**2) == pytest.approx(1, rel=1e-3)


def test_stamps_agree_with_the_renderer():
    rng = np.random.default_rng(2)
    n = 60
    x, y, flux = rng.uniform(-2, 130, n), rng.uniform(-2, 100, n), rng.uniform(1, 50, n)
    sigma, ratio, pa = rng.uniform(0, 9, n), rng.uniform(0.2, 1, n), rng.uniform(0, np.pi, n)
    parts, order = make_parts(rng, np.full(n, "gaussian"), flux, sigma, ratio, pa, np.zeros(n, bool))
    np.testing.assert_array_equal(order, np.arange(n))
    model, owner = draw_stamps((100, 130), x, y, parts.smeared(1.2), 1e-4)
    fwhm = 2.3548200450309493 * sigma
    covariance = covariance_from_fwhm(fwhm, fwhm * ratio, np.degrees(pa)) + 1.2 * np.eye(2)
    expected, owners = render_gaussians(
        (100, 130), x, y, flux, pixel_covariance(covariance, None, x, y), faintest=1e-6
    )  # fmt: skip
    np.testing.assert_allclose(model, expected, atol=1e-4 * expected.max())
    bright = expected > 1e-3 * expected.max()
    np.testing.assert_array_equal(owner[bright], owners[bright])


def test_what_is_nowhere_a_hundredth_of_the_noise_is_not_drawn():
    parts = one("gaussian")
    peak = parts.brightest()[0]
    for level, drawn in ((99 * peak, True), (101 * peak, False)):
        model, owner = draw_stamps((65, 65), np.array([32.0]), np.array([32.0]), parts, level)
        assert model.any() == owner.any() == drawn


def test_large_sources_are_cut_at_the_edges():
    parts = one("plume", sigma=40.0)
    place = np.array([30.0]), np.array([90.0])
    whole, owner = draw_stamps((400, 400), place[0] + 150, place[1] + 150, parts, 1e-6)
    model, cut = draw_stamps((100, 70), *place, parts, 1e-6)
    np.testing.assert_allclose(model, whole[150:250, 150:220], rtol=1e-4)
    np.testing.assert_array_equal(cut, owner[150:250, 150:220])


def test_peak_of_a_source_is_that_of_its_image():
    for kind in KINDS:
        parts = one(kind)
        model, _ = draw_stamps((201, 201), np.array([100.0]), np.array([100.0]), parts, 1e-6)
        # The centre of the brightest part may lie between pixels.
        assert model.max() == pytest.approx(parts.brightest()[0], rel=0.1)


# The field


@pytest.mark.parametrize("preset", PRESETS)
def test_the_model_holds_the_flux_of_the_catalogue(preset):
    sky = simulate_radio(preset=preset, size=400, seed=2)
    area = sky.image.meta["beam"].area_pixels(np.abs(sky.image.wcs.wcs.cdelt[0]) * u.deg)
    total, flux = sky.model.sum(dtype=float) / area, sky.truth["flux"].value
    margin = 60
    assert 0.995 * flux[inside(sky, margin)].sum() < total < 1.0005 * flux.sum()


def test_flux_of_a_lone_source():
    population = Population((("double", 1.0),), 1.0, ((200.0, 1.0), (500.0, 0.0)), size=6.0)
    settings = RadioSettings((population,), 20.0)
    for seed in range(40):
        field = radio_field(np.random.default_rng(seed), settings, (256, 256))
        place = [field.sources[name] for name in ("x", "y")]
        if field.sources["x"].size == 1 and min(*place, *(255 - value for value in place)) > 70:
            area = 2 * np.pi * (2.5 / 2.3548) ** 2
            assert field.model.sum(dtype=float) / area == pytest.approx(field.sources["flux"][0], rel=1e-3)
            return
    pytest.fail("no field of one source")


def test_truth_labels_are_the_isophotes_of_the_model(sky):
    np.testing.assert_array_equal(sky.labels > 0, sky.model > np.float32(2 * 4e-7))
    counts = np.bincount(sky.labels.ravel(), minlength=len(sky.truth) + 1)[1:]
    np.testing.assert_array_equal(counts, sky.truth["n_pixels"])
    assert sky.labels.dtype == np.int32


def test_each_pixel_belongs_to_the_source_that_is_brightest_there():
    field = radio_field(np.random.default_rng(1), radio_settings("crowded", density=8000), (64, 64))
    alone = []
    for number in range(field.sources["x"].size):
        x, y = (np.where(np.arange(field.sources[name].size) == number, field.sources[name], -1e5) for name in "xy")
        alone.append(draw_stamps((64, 64), x, y, field.parts, 1e-9)[0])
    np.testing.assert_array_equal(field.labels[field.labels > 0], 1 + np.argmax(alone, axis=0)[field.labels > 0])


def test_truth_is_one_row_a_source():
    sky = simulate_radio(preset="extended", size=512, seed=1)
    double = sky.truth[(sky.truth["simulate_kind"] == "double") & (sky.truth["simulate_parts"] > 1)]
    assert len(double) > 5
    assert set(double["simulate_parts"]) == {5}
    assert set(np.unique(sky.labels)) - {0} <= set(sky.truth["label"])
    seen = sky.truth["n_pixels"] > 0
    assert np.all((sky.truth["island"] > 0) == seen)
    for row in sky.truth[seen][:30]:
        assert row["deconvolved_major"] <= row["fwhm_major"]


def test_sources_are_where_the_truth_says(sky):
    catalog = find(sky.image, "sigma").catalog
    found = np.column_stack([catalog[name].value for name in ("x_centroid", "y_centroid")])
    for row in sky.truth[sky.truth["snr"] > 100]:
        distance = np.hypot(*(found - [row["x_centroid"].value, row["y_centroid"].value]).T)
        assert distance.min() < 1
        near = catalog[np.argmin(distance)]
        assert abs(near["ra"] - row["ra"]) * np.cos(row["dec"]) < 0.5 * u.arcsec
        assert abs(near["dec"] - row["dec"]) < 0.5 * u.arcsec


# Counts


@pytest.mark.parametrize("slope", [0.0, 0.7, 1.6])
def test_counts_follow_the_power_law(slope):
    flux = draw_fluxes(np.random.default_rng(1), ((3.0, slope), (3000.0, 0.0)), 200_000)
    assert 3 <= flux.min() < flux.max() <= 3000
    above = 0.5 * np.log(100) if slope == 0 else (30.0**-slope - 3000.0**-slope) / slope
    whole = np.log(1000) if slope == 0 else (3.0**-slope - 3000.0**-slope) / slope
    expected = 2 / 3 if slope == 0 else above / whole
    assert np.mean(flux > 30) == pytest.approx(expected, rel=0.02)


def test_counts_bend_without_a_step():
    flux = np.log10(draw_fluxes(np.random.default_rng(1), ((1.0, 0.2), (10.0, 2.0), (1000.0, 0.0)), 400_000))
    numbers, _ = np.histogram(flux, np.linspace(0.8, 1.2, 5))
    assert numbers[1] / numbers[0] == pytest.approx(10**-0.02, rel=0.03)
    assert numbers[3] / numbers[2] == pytest.approx(10**-0.2, rel=0.03)
    assert numbers[2] / numbers[1] == pytest.approx(10 ** -(0.5 * 0.02 + 0.5 * 0.2), rel=0.03)


def test_number_of_sources_is_poisson():
    numbers = [
        radio_field(np.random.default_rng(s), PRESETS["compact"], (200, 200)).sources["x"].size for s in range(90)
    ]
    assert np.mean(numbers) == pytest.approx(40, abs=4 * np.sqrt(40 / 90))
    assert 0.5 < np.var(numbers) / 40 < 1.7


# Noise


@pytest.mark.parametrize(
    "beam", [(4.0, 1.0, 0.0, 0.0), (2.4, 1.12, 0.993, 0.3), (3.0, 0.7, 0.5, 4.0)], ids=["plain", "sdc1", "wide hole"]
)
def test_noise_has_unit_variance_and_the_dirty_beams_autocorrelation(beam):
    fwhm, ratio, hole, width = beam
    options = {"ratio": ratio, "hole": hole, "hole_width": width}
    noise = correlated_noise(np.random.default_rng(1), (1400, 1300), fwhm, **options)
    assert noise.std() == pytest.approx(1, abs=0.01)
    for lag in (1, 2, 3, 5):
        along_x, along_y = np.mean(noise[:, lag:] * noise[:, :-lag]), np.mean(noise[lag:] * noise[:-lag])
        assert along_x == pytest.approx(autocorrelation(lag, 0, fwhm, **options), abs=0.012)
        assert along_y == pytest.approx(autocorrelation(0, lag, fwhm, **options), abs=0.012)


def test_opposite_edges_of_the_noise_are_independent():
    noise = correlated_noise(np.random.default_rng(1), (4000, 64), 4.0)
    assert abs(np.mean(noise[:, 0] * noise[:, -1])) < 0.1


def test_sidelobes_leave_the_main_lobe_alone():
    point = np.zeros((128, 128))
    point[64, 64] = 1
    lobes = sidelobe_map(point, 3.0)
    assert abs(lobes[64, 64]) < 1e-6
    assert 0.3 < np.abs(lobes).max() < 1
    assert np.abs(lobes[10, :]).max() < 0.1
    np.testing.assert_allclose(sidelobe_map(3 * point, 3.0), 3 * lobes, atol=1e-6)


def test_depth_varies_as_asked():
    logs = np.log([uneven(np.random.default_rng(seed), (40, 50), 0.2) for seed in range(200)])
    assert logs.std() == pytest.approx(0.2, rel=0.1)
    assert np.abs(np.diff(logs, axis=1)).max() < 0.15


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", 3000), ("beam", 2.0), ("pixel", 0.5), ("rms", 1e-6), ("noise_kernel", 0.75), ("noise_ratio", 1.2),
        ("noise_hole", 0.5), ("uneven", 0.2), ("primary_beam", 100.0), ("sidelobes", 0.05), ("artefacts", 0.1),
        ("zero_mean", True), ("blank", 0.2), ("isophote", 3.0),
    ],
)  # fmt: skip
def test_every_option_has_its_effect(name, value):
    base = {"size": 128, "seed": 2, "density": 4000, "noise_hole_width": 2.0}
    plain, changed = (simulate_radio(**{**base, **given}) for given in ({}, {name: value}))
    same = np.array_equal(plain.image.data, changed.image.data) and np.array_equal(plain.labels, changed.labels)
    assert not same
    assert changed.truth.meta[name] == value


def test_options_that_need_others():
    base = {"size": 128, "seed": 2, "density": 4000, "sidelobes": 0.05, "noise_hole": 0.5}
    for name, value in (("clean_depth", 100.0), ("noise_hole_width", 1.0)):
        plain, changed = (simulate_radio(**base, **given).image.data for given in ({}, {name: value}))
        assert not np.array_equal(plain, changed)


def test_blank_pixels_hold_no_source():
    sky = simulate_radio(size=200, seed=1, preset="crowded", blank=0.25)
    blank = np.isnan(sky.image.data)
    assert blank.mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(sky.image.mask, blank)
    assert not sky.labels[blank].any()
    x, y = (np.rint(sky.truth[name].value).astype(int).clip(0, 199) for name in ("x_centroid", "y_centroid"))
    assert not blank[y, x].any()


def test_primary_beam_attenuates_what_is_off_axis():
    sky = simulate_radio(size=256, seed=1, primary_beam=80.0)
    x, y = (sky.truth[name].value - 127.5 for name in ("x_centroid", "y_centroid"))
    expected = 0.5 ** (4 * (x**2 + y**2) * 0.6**2 / 80**2)
    np.testing.assert_allclose((sky.truth["flux"] / sky.truth["simulate_intrinsic_flux"]).value, expected, rtol=1e-6)


def test_mean_is_zero_where_asked():
    sky = simulate_radio(size=256, seed=1, preset="crowded")
    assert abs(sky.image.data.mean()) < 0.1 * sky.model.mean()


def test_noise_follows_the_depth():
    sky = simulate_radio(size=400, seed=1, density=0, uneven=0.3)
    assert len(sky.truth) == 0
    assert not sky.labels.any()
    field = radio_field(np.random.default_rng(1), radio_settings("compact", density=0, uneven=0.3), (400, 400))
    assert (field.data / field.rms).std() == pytest.approx(1, abs=0.03)
    assert field.rms.std() / field.rms.mean() > 0.1


def test_images_need_not_be_square():
    sky = simulate_radio(size=(48, 96), seed=1, density=20000)
    assert sky.image.shape == sky.labels.shape == sky.model.shape == (48, 96)
    assert sky.truth["x_centroid"].value.max() > 60


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "sdc3"}, "There is no preset 'sdc3'"),
        ({"colour": 3}, "There is no option 'colour'"),
        ({"size": 4}, "at least 16"),
        ({"beam": 0.5}, "needs pixels of at most"),
        ({"rms": 0.0}, "must be positive"),
        ({"density": -1}, "zero or positive"),
        ({"noise_hole": 1.0}, "below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        simulate_radio(**{"size": 32, **given})


def test_sdc1_sky_is_confused_and_correlated():
    """Half of the sources lie below the noise, and five-sigma detections are as dense as on the challenge's image."""
    sky = simulate_radio(preset="sdc1", size=600, seed=1)
    assert 0.4 < np.mean(sky.truth["snr"] < 1) < 0.6
    density = len(find(sky.image, "sigma").catalog) / sky.image.data.size * 1e6
    assert density == pytest.approx(2480, rel=0.15)
