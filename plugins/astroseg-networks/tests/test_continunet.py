"""ContinUNet: the network, its training and its finder."""

import numpy as np
import pytest
from astroseg_networks.continunet_finder import ContinUNetFinder, min_max
from astroseg_networks.runtime import open_runtime
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import threshold_triangle, threshold_yen
from skimage.measure import label, regionprops

from astroseg import NoDetectionsWarning
from astroseg.testing import make_field, parametrize_finders, reread

METHODS = {"triangle": threshold_triangle, "yen": threshold_yen, "fixed": lambda _: 0.5}


@parametrize_finders(ContinUNetFinder(device="cpu"))
def test_conformance(finder, check):
    check(finder)


def test_scaled_between_minimum_and_maximum():
    data = np.array([[-2.0, np.nan], [6.0, 0.0]])
    np.testing.assert_array_equal(min_max(data, np.isnan(data)), np.array([[0, 0], [1, 0.25]], dtype="f4"))
    assert min_max(data, np.isnan(data)).dtype == np.float32


@pytest.mark.parametrize("mask", [None, np.ones((3, 4), dtype=bool)], ids=["flat", "blank"])
def test_without_contrast_everything_is_zero(mask):
    assert not min_max(np.full((3, 4), 7.0), mask).any()


@given(scale=st.floats(1e-9, 1e9), offset=st.floats(-10, 10))
def test_neither_unit_nor_offset_matters(scale, offset):
    data = np.random.default_rng(1).normal(size=(5, 7))
    expected = min_max(data, None)
    np.testing.assert_allclose(min_max(scale * (data + offset), None), expected, atol=1e-6)
    assert (expected.min(), expected.max()) == (0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_sources_are_what_is_connected_above_the_threshold(method):
    image, _ = make_field(shape=(120, 150))
    finder = ContinUNetFinder(device="cpu", method=method, min_pixels=3)
    probability = finder.maps(image)["probability"]
    above = probability > METHODS[method](probability)
    islands = [region.coords for region in regionprops(label(above, connectivity=2)) if region.area >= 3]
    expected = np.zeros(image.shape, dtype=bool)
    expected[tuple(np.concatenate(islands).T)] = True
    found = finder.find(image)
    np.testing.assert_array_equal(found.labels > 0, expected)
    assert len(found) == len(islands) > 0


def test_nothing_is_found_below_the_threshold():
    finder = ContinUNetFinder(device="cpu", threshold=0.6)
    assert not finder.label(np.linspace(0, 0.59, 600).reshape(20, 30), None).any()


def test_an_image_without_contrast_holds_nothing():
    image, _ = make_field(shape=(96, 96))
    flat = reread(image, np.full(image.shape, 3e-3, dtype=np.float32))
    finder = ContinUNetFinder(device="cpu")
    assert not finder.maps(flat)["probability"].any()
    with pytest.warns(NoDetectionsWarning, match="continunet found nothing"):
        assert len(finder.find(flat)) == 0


def test_the_brightest_pixel_changes_the_answer_elsewhere():
    image, _ = make_field(shape=(128, 300))
    data = image.data.copy()
    data[5, 295] = 1000 * data.max()
    finder = ContinUNetFinder(device="cpu")
    # No patch that holds the pixel begins before 128.
    before, after = (finder.maps(one)["probability"][:, :128] for one in (image, reread(image, data)))
    assert abs(before - after).max() > 0.1


def test_network():
    torch = pytest.importorskip("torch")
    from astroseg_networks.continunet import ContinUNet

    network = ContinUNet().eval()
    assert sum(weights.numel() for weights in network.parameters()) == pytest.approx(1.18e6, rel=0.005)
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 48, 80))["segmentation"].shape == (2, 1, 48, 80)
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert shapes == [
        (16, 1, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3),
        (16, 32, 3, 3), (32, 64, 3, 3), (64, 128, 3, 3), (128, 256, 3, 3), (1, 16, 1, 1),
    ]  # fmt: skip


def test_examples():
    pytest.importorskip("torch")
    from astroseg_networks.continunet import ContinUNet
    from astroseg_networks.patch_task import ContinUNetTask

    task = ContinUNetTask(ContinUNet())
    skies = [task.draw(np.random.default_rng(seed)) for seed in (*range(8), 24, 28)]
    for sky in skies:
        assert {values.shape for values in sky.values()} == {(1, 256, 256)}
        assert {values.dtype for values in sky.values()} == {np.dtype("f4")}
        assert (sky["image"].min(), sky["image"].max()) == (0, 1)
        assert not sky["image"][sky["weight"] == 0].any()
        assert sky["image"][sky["segmentation"] == 1].mean() > sky["image"][sky["weight"] == 1].mean()
    assert any((sky["weight"] == 0).any() for sky in skies)


def test_training_gives_two_files_that_agree(tmp_path, monkeypatch):
    pytest.importorskip("lightning")
    pytest.importorskip("onnxscript")
    from astroseg_networks.continunet_trainer import ContinUNetTrainer
    from astroseg_networks.weights import read_weights

    monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 2)
    files = ContinUNetTrainer(steps=2, batch=1, every=2, workers=0, device="cpu").train(tmp_path, quiet=True)
    assert [path.name for path in files] == ["continunet.safetensors", "continunet.onnx"]
    card = read_weights(files[1]).card
    assert card["architecture"] == {"name": "continunet"}
    assert card["normalisation"] == "(image - minimum) / (maximum - minimum)"
    assert 0 <= card["scores"]["dice"] <= 1
    _assert_agree(*files)


def test_the_weights_that_ship_agree():
    pytest.importorskip("torch")
    from astroseg_networks.weights import find_weights, master_of

    _assert_agree(master_of(find_weights("continunet")), find_weights("continunet"))


def _assert_agree(*files):
    patches = np.random.default_rng(2).random((3, 1, 64, 96), dtype=np.float32)
    one, other = (open_runtime(str(path), "continunet", "cpu", ContinUNetFinder.build)(patches) for path in files)
    np.testing.assert_allclose(one["segmentation"], other["segmentation"], atol=1e-4)
