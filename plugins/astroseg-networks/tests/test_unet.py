"""The torch module itself."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from astroseg_networks.scan import HALO, scan  # noqa: E402
from astroseg_networks.unet import HEADS, UNet  # noqa: E402
from astroseg_networks.unet_finder import MAPS  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return UNet().eval()


def test_maps_have_the_size_of_the_image_and_the_channels_of_their_heads(network):
    with torch.inference_mode():
        maps = network(torch.zeros(1, 2, 48, 32))
    assert {name: values.shape[1] for name, values in maps.items()} == HEADS == MAPS
    assert {values.shape[2:] for values in maps.values()} == {(48, 32)}


def test_begins_with_few_centres(network):
    with torch.inference_mode():
        logit = network(torch.zeros(1, 2, 32, 32))["centre"]
    assert torch.sigmoid(logit).mean() < 0.05


def test_nothing_beyond_the_halo_matters(network):
    """Gradients reach as far as dependence does."""
    side = 2 * HALO + 64
    image = torch.randn(1, 2, side, side, requires_grad=True)
    middle = side // 2
    sum(values[0, :, middle, middle].sum() for values in network(image).values()).backward()
    rows, columns = np.nonzero(image.grad[0].abs().sum(dim=0).numpy())
    reach = max(np.abs(rows - middle).max(), np.abs(columns - middle).max())
    assert HALO / 2 < reach <= HALO


def test_patches_give_what_the_whole_image_gives(network, monkeypatch):
    monkeypatch.setattr("astroseg_networks.scan.OWN", 160)

    def run(batch):
        with torch.inference_mode():
            return {name: values.numpy() for name, values in network(torch.from_numpy(batch)).items()}

    image = np.random.default_rng(1).normal(size=(480, 336)).astype("f4")
    patches, whole = ({name: np.zeros((n, *image.shape), "f4") for name, n in MAPS.items()} for _ in range(2))
    scan(run, image, 2.5, patches)
    monkeypatch.setattr("astroseg_networks.scan.OWN", 480)
    scan(run, image, 2.5, whole)
    for name in MAPS:
        np.testing.assert_allclose(patches[name], whole[name], atol=1e-4)
