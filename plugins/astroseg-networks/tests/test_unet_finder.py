"""The finder around the network: with one that is simple and known, and with the weights that ship."""

import warnings
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astroseg_networks.decoding import CERTAIN
from astroseg_networks.grid import choose_grid
from astroseg_networks.unet_finder import MAPS, UNetFinder, _labels
from astroseg_networks.weights import WeightsError, find_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from astroseg import AstrosegWarning, NoDetectionsWarning, find, read_image, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.ellipse import covariance_from_fwhm
from astroseg.errors import UsageError
from astroseg.labels import compact
from astroseg.testing import make_field, parametrize_finders
from astroseg.testing.fields import reread

SHA256 = "0" * 64


def threshold(batch):
    """A network that calls a source what is above 6 sigma, and its pixels those above 2."""
    significance = np.sinh(batch[0, 0].astype(float))
    smooth = ndimage.gaussian_filter(significance, 0.7, mode="constant")
    maps = {name: np.zeros((1, count, *smooth.shape), "f4") for name, count in MAPS.items()}
    maps["segmentation"] -= 8
    maps["centre"][0, 0] = np.clip(smooth - 4, -8, 1e6)
    maps["log_flux"][0, 1] = -4
    peaks = (smooth == ndimage.maximum_filter(smooth, 5)) & (smooth > 4)
    if peaks.any():
        distance, nearest = ndimage.distance_transform_edt(~peaks, return_indices=True)
        maps["segmentation"][0, 0] = np.where(distance <= 4, np.clip(smooth - 2, -8, CERTAIN - 1), -8)
        place = np.stack(np.meshgrid(*map(np.arange, smooth.shape), indexing="ij"))
        maps["vote"][0] = np.clip(nearest - place, -6, 6)[::-1]
    return maps


@pytest.fixture
def simple(monkeypatch):
    """The finder with that network."""
    calibration = {"score": [-10.0, 0.0, 10.0], "logit": [-10.0, 0.0, 10.0], "rarity": [30.0] * 3}

    def runtime(batch):
        return threshold(batch)

    runtime.card = {"calibration": calibration}
    monkeypatch.setattr("astroseg_networks.unet_finder.open_runtime", lambda *_, **__: runtime)
    monkeypatch.setattr("astroseg_networks.unet_finder.hash_weights", lambda *_: SHA256)


def distances(first, second):
    """Pixels from each source of the one catalogue to each of the other."""
    return np.hypot(
        *(np.subtract.outer(first[name].value, second[name].value) for name in ("x_centroid", "y_centroid"))
    )


def shipped():
    try:
        return find_weights("unet").is_file()
    except WeightsError:
        return False


trained = pytest.mark.skipif(not shipped(), reason="the weights of the unet are not there yet")


@pytest.mark.usefixtures("simple")
@parametrize_finders(UNetFinder(), UNetFinder(min_probability=0.9))
def test_conformance_of_the_code(finder, check):
    check(finder)


@trained
@parametrize_finders(UNetFinder(device="cpu"), UNetFinder(weights="unet.int8"))
def test_conformance(finder, check):
    check(finder)


@trained
@pytest.mark.parametrize("beam", [2.5, 5.0, 12.0])
def test_finds_sources_and_fluxes_at_any_sampling(beam):
    image, truth = make_field(shape=(512, 512), n_sources=25, beam=beam, snr=(10, 60))
    found = UNetFinder(device="cpu").find(image).catalog
    away = distances(truth, found)
    assert np.all(away.min(axis=1) < 0.3 * beam)
    assert len(found) <= 1.2 * len(truth)
    ratio = (found["flux"][away.argmin(axis=1)] / truth["flux"]).value
    assert np.median(ratio) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "options", [{"min_probability": 0}, {"min_probability": 1.0}, {"min_probability": "high"}, {"weights": 3}]
)
def test_wrong_options(options):
    with pytest.raises(UsageError):
        UNetFinder(**options).find(make_field()[0])


@pytest.mark.parametrize(
    ("options", "text"), [({"weights": "none.onnx"}, "none.onnx"), ({"weights": "unett"}, "unett")]
)
def test_weights_that_are_not_there(options, text):
    with pytest.raises(WeightsError, match=text):
        UNetFinder(**options).find(make_field()[0])


@pytest.mark.usefixtures("simple")
class TestUntrained:
    """Images for which the network was not trained are flagged, and one line says why."""

    @pytest.mark.parametrize(
        ("beam", "why"),
        [
            (None, "no beam that is known in pixels"),
            ("1.7pix", r"its beam is 1\.7 pixels wide, and the weights know 1\.8 or more"),
            ("2arcsec", "no beam that is known in pixels"),  # without a sky nobody knows how many pixels that is
            ("16pix,5pix,20", "more than 3 times as long as wide"),
        ],
    )
    def test_beam(self, beam, why):
        data = make_field()[0].data
        image = read_image(fits.PrimaryHDU(data), unit="Jy/beam", beam=beam)
        with pytest.warns(AstrosegWarning, match=f"unet has not been trained for .*{why}") as caught:
            found = UNetFinder().find(image)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert "\n" not in str(caught[0].message)
        assert len(found) > 0
        assert np.all(found.catalog["flags"] & 64)

    def test_the_sun(self):
        image, _ = make_field()
        sun = reread(image, image.data, CTYPE1="HPLN-TAN", CTYPE2="HPLT-TAN", CUNIT1="deg", CUNIT2="deg", CRVAL1=0.0,
                     CRVAL2=0.0, **{"DATE-OBS": "2020-01-01T00:00:00"})  # fmt: skip
        with pytest.warns(AstrosegWarning, match="the Sun"):
            found = UNetFinder().find(sun)
        assert np.all(found.catalog["flags"] & 64)
        assert np.isfinite(found.catalog["hpc_x"].value).all()
        place = sun.wcs.all_pix2world(found.catalog["x_centroid"].value, found.catalog["y_centroid"].value, 0)
        np.testing.assert_allclose((place[0] + 180) % 360 - 180, found.catalog["hpc_x"].to_value("deg"), atol=1e-8)

    @pytest.mark.parametrize("beam", [1.8, 1.9, 2.5, 5.0, 30.0])
    def test_not_the_others(self, beam):
        image, _ = make_field(beam=beam, n_sources=2)
        found = UNetFinder().find(image)
        assert len(found) >= 1
        assert not np.any(found.catalog["flags"] & 64)


@pytest.mark.usefixtures("simple")
@pytest.mark.parametrize("beam", [1.9, 2.5, 5.0, 9.0])
def test_finds_what_the_network_sees(beam):
    image, truth = make_field(shape=(300, 200), n_sources=12, beam=beam, snr=(30, 60))
    found = UNetFinder().find(image)
    away = distances(truth, found.catalog)
    assert np.all(away.min(axis=1) < 0.3 * beam)  # pixels are all that this network tells of a place
    assert np.median(away.min(axis=1)) < 0.05 * beam
    assert len(found) == len(truth)
    np.testing.assert_allclose(found.catalog["flux"][away.argmin(axis=1)] / truth["flux"], 1, atol=0.15)
    assert found.catalog.meta["weights_sha256"] == SHA256
    assert np.all(found.catalog["probability"] > 0.99)
    inside = found.probability[found.labels > 0]
    assert np.mean(inside > 0.49) > 0.95  # the outlines are those of the probability


@pytest.mark.usefixtures("simple")
@pytest.mark.parametrize("pa", [0, 40, 110])
@pytest.mark.parametrize("step", [-1, 1])
def test_an_elongated_beam(pa, step):
    """19 x 13 pixels, on axes that are mirrored and not."""
    image, _ = make_field(noise=1e-4, n_sources=0, shape=(300, 300), beam=15.0)
    east, north = np.meshgrid(step * (np.arange(300) - 171.0), np.arange(300) - 120.0)
    inverse = np.linalg.inv(covariance_from_fwhm(19.0, 13.0, pa))
    away = np.stack([east, north], axis=-1)
    data = image.data + 5e-3 * np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", away, inverse, away)).astype("f4")
    step_deg = 2 / 3600
    image = reread(image, data, CDELT1=step * step_deg, BMAJ=19 * step_deg, BMIN=13 * step_deg, BPA=float(pa))
    found = UNetFinder().find(image)
    best = np.argmax(found.catalog["peak_flux"])
    np.testing.assert_allclose(found.catalog["x_centroid"].value[best], 171, atol=0.3)
    np.testing.assert_allclose(found.catalog["y_centroid"].value[best], 120, atol=0.3)
    assert found.catalog["flux"].value[best] == pytest.approx(5e-3, rel=0.1)
    assert found.labels[120, 171] == found.catalog["label"][best]


@pytest.mark.usefixtures("simple")
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 500), (17, 33)])
@pytest.mark.parametrize("beam", [1.0, 2.5, 6.0, 200.0])
def test_tiny_images(shape, beam):
    data = np.random.default_rng(0).normal(size=shape).astype("f4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)
        image = read_image(fits.PrimaryHDU(data), unit="Jy/beam", beam=f"{beam}pix")
        found = UNetFinder().find(image)
    assert found.labels.shape == found.probability.shape == shape


@pytest.mark.usefixtures("simple")
@pytest.mark.parametrize("beam", [1.9, 2.5, 8.0])
def test_blank_pixels_are_no_sources_and_make_none(beam):
    """A source of 3000 sigma, cut in the middle by a blank half."""
    image, _ = make_field(noise=1e-4, n_sources=0, shape=(160, 160), beam=beam)
    y, x = np.mgrid[:160, :160]
    data = image.data + 0.3 * np.exp(-0.5 * ((x - 79.4) ** 2 + (y - 80) ** 2) / (beam / FWHM_PER_SIGMA) ** 2)
    data[:, 80:] = np.nan
    found = UNetFinder().find(reread(image, data.astype("f4")))
    assert not found.labels[:, 80:].any()
    assert not found.probability[:, 80:].any()
    assert found.labels[80, 79] > 0
    # Nothing rings: only noise is found beside it.
    assert np.count_nonzero(found.catalog["snr"] > 10) == 1


@pytest.mark.usefixtures("simple")
def test_nothing_is_probable_enough(simple):
    image, _ = make_field()
    with pytest.warns(NoDetectionsWarning):
        found = UNetFinder(min_probability=0.99999).find(image)  # the calibration ends before
    assert len(found) == 0
    assert not found.labels.any()
    assert "unet_parts" in found.catalog.colnames
    assert found.catalog.meta["weights_sha256"] == SHA256


@pytest.mark.usefixtures("simple")
def test_an_island_beyond_doubt_is_listed_however_improbable_its_centre(monkeypatch):
    image, _ = make_field()
    monkeypatch.setattr("astroseg_networks.decoding.CERTAIN", CERTAIN - 1)
    found = UNetFinder(min_probability=0.99999).find(image)
    every = UNetFinder(min_probability=0.01).find(image)
    bright = every.labels[np.isin(every.labels, np.flatnonzero(every.catalog["snr"] > 20) + 1)]
    assert bright.size > 50
    kept = found.labels[np.isin(every.labels, bright)]
    assert np.all(kept > 0)
    assert 0 < len(found) < len(every)


@pytest.mark.usefixtures("simple")
def test_an_empty_answer_survives_its_files(tmp_path):
    image, _ = make_field()
    with pytest.warns(NoDetectionsWarning):
        found = UNetFinder(min_probability=0.99999).find(image)
    assert len(found.write(tmp_path, formats=("ecsv", "fits", "votable"))) >= 5


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_labels_and_centres_are_one_to_one(data):
    """On the image's own grid, on a finer and on a coarser one, with peaks anywhere."""
    beam = data.draw(st.sampled_from([1.2, 1.9, 2.5, 4.0, 11.0]))
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    grid = choose_grid(shape, np.eye(2) * (beam / FWHM_PER_SIGMA) ** 2)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    maps = {"segmentation": rng.normal(0, 2, (1, *grid.shape)), "vote": rng.normal(0, 1, (2, *grid.shape))}
    row, column = np.nonzero(rng.random(grid.shape) < 0.1)
    order = rng.permutation(row.size)
    centres = SimpleNamespace(row=row[order], column=column[order], x=column[order] + 0.1, y=row[order] - 0.1)
    mask = data.draw(st.sampled_from([None, rng.random(shape) < 0.3]))
    labels, index = _labels(grid, maps, centres, mask)
    assert labels.shape == shape
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, compact(labels))
    assert index.size == labels.max(initial=0)
    assert np.unique(index).size == index.size
    assert mask is None or not labels[mask].any()
    if mask is None:
        # Each source has the pixel of its peak, unless a more probable one has its own there.
        x, y = grid.positions(centres.column, centres.row)
        places = zip(np.rint(y).clip(0, shape[0] - 1), np.rint(x).clip(0, shape[1] - 1), strict=True)
        first: dict[tuple[float, float], int] = {}
        for number, place in enumerate(places):
            first.setdefault(place, number)
        for place, number in first.items():
            assert index[labels[int(place[0]), int(place[1])] - 1] == number


@pytest.mark.usefixtures("simple")
def test_units_of_the_catalogue():
    catalog = UNetFinder().find(make_field()[0]).catalog
    assert catalog["flux"].unit == u.Jy
    assert catalog["deconvolved_major"].unit == u.arcsec
    for name in ("unet_n_parts", "unet_parts", "unet_major_error", "unet_minor_error"):
        assert catalog[name].info.description


def test_a_source_that_the_segmentation_misses_has_half_a_beam_on_any_grid():
    grid = choose_grid((120, 140), np.eye(2) * (12 / FWHM_PER_SIGMA) ** 2)
    maps = {"segmentation": np.full((1, *grid.shape), -6.0), "vote": np.zeros((2, *grid.shape))}
    row, column = np.array([10, 0]), np.array([15, 20])
    labels, index = _labels(grid, maps, SimpleNamespace(row=row, column=column, x=column, y=row), None)
    assert index.tolist() == [1, 0]
    x, y = (at[0] for at in grid.positions(column[:1], row[:1]))
    away = np.hypot(*np.meshgrid(np.arange(140) - x, np.arange(120) - y))
    assert np.all(labels[away < 4] == 2)
    assert not np.any(labels[away > 11] == 2)


def test_peaks_beyond_the_image_are_none():
    """Of an elongated beam the grid has corners that the image has not."""
    grid = choose_grid((100, 100), covariance_from_fwhm(12.0, 3.0, 45))
    maps = {"segmentation": np.full((1, *grid.shape), -6.0), "vote": np.zeros((2, *grid.shape))}
    row, column = (np.array([0, grid.shape[axis] // 2, 0]) for axis in (0, 1))
    column[2] = grid.shape[1] - 1
    corners = np.stack(grid.positions(column, row))
    off = np.abs(corners - np.clip(corners, 0, 99)).max(axis=0) > 10
    assert off.any()
    labels, index = _labels(grid, maps, SimpleNamespace(row=row, column=column, x=column, y=row), None)
    np.testing.assert_array_equal(np.sort(index), np.flatnonzero(~off))
    assert labels.max() == np.count_nonzero(~off)


@pytest.mark.usefixtures("simple")
def test_a_large_image_is_searched_by_regions_with_the_same_result(monkeypatch):
    # A beam of 2.5 pixels: the network sees the pixels as they are.
    image = standardize(make_field(shape=(230, 260), n_sources=40, beam=5.0)[0])
    whole = UNetFinder().find(image)
    monkeypatch.setattr(UNetFinder, "region", 96)
    monkeypatch.setattr(UNetFinder, "overlap", 48)
    regions = find(image, UNetFinder())
    assert len(whole) > 25
    np.testing.assert_array_equal(whole.labels, regions.labels)
    np.testing.assert_allclose(whole.probability, regions.probability, atol=2e-7)
    for name in ("x_centroid", "y_centroid", "ra", "flux", "probability", "snr"):
        np.testing.assert_allclose(whole.catalog[name].value, regions.catalog[name].value, rtol=1e-5, err_msg=name)
