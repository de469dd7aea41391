"""The convolutional autoencoder: network, what it is trained for, and the finder."""

import numpy as np
import pytest
from astroseg_networks.cae_finder import CAEFinder

from astroseg import AstrosegWarning
from astroseg.testing import make_field, parametrize_finders


@parametrize_finders(CAEFinder(device="cpu"), CAEFinder(device="cpu", method="yen", min_pixels=5))
def test_conformance(finder, check):
    check(finder)


def test_finds_the_sources_and_their_pixels():
    image, truth = make_field()
    found = CAEFinder(device="cpu").find(image)
    inside = found.labels[tuple(np.rint(truth[name].value).astype(int) for name in ("y_centroid", "x_centroid"))]
    assert np.all(inside > 0)
    assert np.count_nonzero(found.catalog["snr"] > 6) <= len(truth) + 1
    model, _ = make_field(noise=0)
    true, mask = model.data > 2e-4, found.labels > 0  # the isophote of twice the noise
    assert np.count_nonzero(true & mask) / np.count_nonzero(true | mask) > 0.6


def test_a_beam_it_was_not_trained_on_is_flagged():
    with pytest.warns(AstrosegWarning, match="cae has not been trained for field: its beam is 9"):
        CAEFinder(device="cpu").find(make_field(beam=9.0)[0])


class TestTraining:
    torch = pytest.importorskip("torch")

    def test_network(self):
        from astroseg_networks.cae import CAE

        network = CAE()
        assert sum(weights.numel() for weights in network.parameters()) == pytest.approx(0.13e6, rel=0.05)
        assert network(self.torch.zeros(2, 1, 60, 60))["segmentation"].shape == (2, 1, 60, 60)

    def test_losses_and_scores(self, monkeypatch, tmp_path):
        from astroseg_networks.cae import CAE
        from astroseg_networks.patch_task import PatchTask

        monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 2)
        task = PatchTask(CAE(), 3)
        drawn = task.draw(np.random.default_rng(1))
        batch = {name: self.torch.from_numpy(values)[None] for name, values in drawn.items()}
        assert list(task.losses(task.network(batch["image"]), batch)) == ["segmentation"]
        assert 0 <= task.scores(tmp_path)["dice"] <= 1

    def test_blank_pixels_teach_nothing(self):
        from astroseg_networks.cae import CAE
        from astroseg_networks.patch_task import PatchTask

        logit = self.torch.zeros(3, 1, 60, 60)
        batch = {name: self.torch.zeros(1, 3, 60, 60) for name in ("segmentation", "weight")}
        assert PatchTask(CAE(), 3).losses({"segmentation": logit}, batch)["segmentation"].item() == 0
