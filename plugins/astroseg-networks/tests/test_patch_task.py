"""What the autoencoders are, and what they are trained for."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from astroseg_networks.cae import CAE
from astroseg_networks.patch_task import (
    MaskTask,
    PatchTask,
    PriorTask,
    VAETask,
    active_units,
    divergence,
)
from astroseg_networks.vae import VAE


def test_cae():
    network = CAE()
    assert sum(weights.numel() for weights in network.parameters()) == pytest.approx(0.13e6, rel=0.05)
    assert network(torch.zeros(2, 1, 60, 60))["segmentation"].shape == (2, 1, 60, 60)


def test_losses_and_scores_of_a_plain_task(monkeypatch, tmp_path):
    monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 2)
    task = PatchTask(CAE(), 3)
    drawn = task.draw(np.random.default_rng(1))
    batch = {name: torch.from_numpy(values)[None] for name, values in drawn.items()}
    assert list(task.losses(task.network(batch["image"]), batch)) == ["segmentation"]
    assert 0 <= task.scores(tmp_path)["dice"] <= 1


def test_blank_pixels_teach_nothing():
    logit = torch.zeros(3, 1, 60, 60)
    batch = {name: torch.zeros(1, 3, 60, 60) for name in ("segmentation", "weight")}
    assert PatchTask(CAE(), 3).losses({"segmentation": logit}, batch)["segmentation"].item() == 0


@pytest.fixture
def task():
    return VAETask(VAE(), 8, 0.1)


def test_vae():
    assert sum(weights.numel() for weights in VAE().parameters()) == pytest.approx(0.12e6, rel=0.05)


def test_noise_moves_the_latent_vector():
    network = VAE().eval()
    image = torch.zeros(2, 2, 16, 16)
    image[1, 1, 0] = 1
    with torch.inference_mode():
        answer = network(image)
        vector = answer["mean"][1] + torch.exp(answer["log_variance"][1] / 2)
        moved = network.decoder(vector.reshape(1, 16))
    assert answer["segmentation"].shape == (2, 1, 16, 16)
    assert answer["mean"].shape == answer["log_variance"].shape == (2, 16, 1, 1)
    torch.testing.assert_close(answer["segmentation"][1], moved[0])
    assert not torch.equal(answer["segmentation"][0], moved[0])


def test_divergence_is_that_of_gaussians():
    mean, log_variance = torch.tensor([0.0, 1.5]), torch.tensor([0.0, -2.0])
    made = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    expected = torch.distributions.kl_divergence(made, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_active_units_are_those_whose_mean_varies():
    spread = np.array([0.0, 0.05, 0.2, 1.0])  # standard deviations
    mean = np.random.default_rng(0).standard_normal((4000, 4)) * spread
    assert active_units(mean[:, :, None, None]) == 2


def test_losses_and_scores(task, monkeypatch, tmp_path):
    monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 2)
    drawn = task.draw(np.random.default_rng(1))
    assert drawn["image"].shape == (16, 16, 16)  # a patch and its noise, one after the other
    assert drawn["segmentation"].shape == (8, 16, 16)
    batch = {name: torch.from_numpy(values)[None] for name, values in drawn.items()}
    losses = task.losses(task.network(batch["image"]), batch)
    assert set(losses) == {"segmentation", "divergence"}
    assert all(loss.item() > 0 for loss in losses.values())
    scores = task.scores(tmp_path)
    assert list(scores) == ["dice", "nats", "active"]
    assert not task.unseen[0]["image"][1::2].any()  # the best masks are scored, not samples


def test_masks_from_masks():
    drawn = MaskTask(VAE(), 4, 0.1).draw(np.random.default_rng(1))
    np.testing.assert_array_equal(drawn["image"][::2], drawn["segmentation"])


def test_the_decoder_of_the_prior_is_left_as_it_is():
    network = VAE()
    before = network.encoder[0][0].weight
    task = PriorTask(network, 4, 0.1)
    assert task.network.encoder[0][0].weight is not before
    learning = {name.split(".")[0] for name, values in task.network.named_parameters() if values.requires_grad}
    assert learning == {"encoder"}
    assert not list(network.decoder.buffers())  # of batch norms, which would go on counting
