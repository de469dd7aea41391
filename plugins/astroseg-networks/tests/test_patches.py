"""A whole image as overlapping patches, and the patches of the trainings."""

import numpy as np
import pytest
from astroseg_networks.patch_skies import SKY, draw_patches
from astroseg_networks.patches import BEAMS, average_patches, logistic, patch_weights


def sky(shape=(53, 70)):
    return np.random.default_rng(0).standard_normal(shape).astype("f4")


@pytest.mark.parametrize(("size", "step"), [(16, 8), (60, 30), (16, 4), (8, 8)])
def test_weights_of_all_patches_sum_to_one(size, step):
    weights = patch_weights(size, step)
    total = np.zeros((size + step * 8,) * 2)
    for row, column in np.ndindex(9, 9):
        total[row * step : row * step + size, column * step : column * step + size] += weights
    np.testing.assert_allclose(total[size:-size, size:-size], 1, rtol=1e-6)


def test_weights_are_least_at_the_edges():
    weights = patch_weights(16, 8)
    assert weights.min() == weights[0, 0] < 1e-3 < weights.max() == weights[8, 8]


@pytest.mark.parametrize("shape", [(53, 70), (16, 16), (1, 200), (3, 5)])
def test_the_average_of_equal_answers_is_that_answer(shape):
    image = sky(shape)
    same = average_patches(lambda patches: {"same": patches}, image, size=16, step=8, batch=5)["same"]
    assert same.shape == shape
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, image, rtol=1e-5, atol=1e-6)


def test_the_network_always_gets_as_many_patches():
    shapes = []

    def run(patches):
        shapes.append(patches.shape)
        return {"one": patches}

    average_patches(run, sky(), size=16, step=8, batch=7)
    assert set(shapes) == {(7, 16, 16)}
    assert len(shapes) == -(-8 * 10 // 7)


def test_the_grid_is_pinned_to_the_origin():
    def run(patches):  # depends on where the patch lies
        return {"edge": patches * np.linspace(0, 1, 16, dtype="f4")}

    image = sky()
    whole = average_patches(run, image, size=16, step=8, batch=7)["edge"]
    part = average_patches(run, image[:40, :48], size=16, step=8, batch=7)["edge"]
    np.testing.assert_array_equal(whole[:32, :32], part[:32, :32])


def test_several_maps():
    maps = average_patches(lambda patches: {"a": patches, "b": 2 * patches}, sky(), size=16, step=8, batch=64)
    np.testing.assert_allclose(maps["b"], 2 * maps["a"])


def test_logistic_does_not_overflow():
    np.testing.assert_allclose(logistic(np.array([-1e9, 0, 1e9], dtype="f4")), [0, 0.5, 1], atol=1e-30)


@pytest.mark.parametrize("size", [16, 60])
def test_patches_to_train_on(size):
    patches = draw_patches(np.random.default_rng(3), size, 10)
    again = draw_patches(np.random.default_rng(3), size, 10)
    for name in ("image", "segmentation", "weight"):
        assert patches[name].shape == (10, size, size)
        assert patches[name].dtype == np.float32
        assert np.isfinite(patches[name]).all()
        np.testing.assert_array_equal(patches[name], again[name])
    assert set(np.unique(patches["segmentation"])) <= {0, 1}


def test_half_of_the_patches_of_a_sky_with_sources_hold_one():
    for seed in range(6):
        held = draw_patches(np.random.default_rng([9, seed]), 16, 20)["segmentation"].any(axis=(1, 2))
        assert not held.any() or np.mean(held) >= 0.5


def test_skies_have_the_declared_beams(monkeypatch):
    beams = []

    def keep(rng, settings, shape):
        assert shape == (SKY, SKY)
        beams.append(settings.beam)
        raise StopIteration

    monkeypatch.setattr("astroseg_networks.patch_skies.radio_field", keep)
    for seed in range(50):
        with pytest.raises(StopIteration):
            draw_patches(np.random.default_rng(seed), 16, 1)
    assert BEAMS[0] <= min(beams) < 2.5
    assert 5 < max(beams) <= BEAMS[1]
