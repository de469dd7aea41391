"""The variational autoencoder: network, what it is trained for, and the finder."""

import numpy as np
import pytest
from astroseg_networks.vae_finder import VAEFinder

from astroseg import AstrosegWarning, NoDetectionsWarning, UsageError
from astroseg.testing import make_field, parametrize_finders
from astroseg.testing.finder_checks import check_rotated_image


@parametrize_finders(VAEFinder(device="cpu"), VAEFinder(device="cpu", weights="vae-prior", samples=2, min_pixels=5))
def test_conformance(finder, check):
    check(finder)


@pytest.mark.xfail(
    reason="Yen's threshold is so low that sources grow into the bumps of noise beside them", strict=True
)
def test_conformance_of_yen_when_turned():
    check_rotated_image(VAEFinder(device="cpu", weights="vae-prior", method="yen"))


@pytest.fixture(scope="module")
def field():
    return make_field()


@pytest.mark.parametrize("weights", ["vae", "vae-prior"])
def test_finds_the_sources(field, weights):
    image, truth = field
    found = VAEFinder(weights=weights, device="cpu").find(image)
    inside = found.labels[tuple(np.rint(truth[name].value).astype(int) for name in ("y_centroid", "x_centroid"))]
    assert np.all(inside > 0)
    # Its pixels are those above twice the noise, and so it takes bumps of the noise for faint sources.
    assert np.count_nonzero(found.catalog["snr"] > 6) <= len(truth) + 1


def test_uncertainty_on_request(field):
    image, _ = field
    plain, sampled = (VAEFinder(device="cpu", samples=samples) for samples in (0, 4))
    assert "vae_uncertainty" not in plain.find(image).catalog.colnames
    found = sampled.find(image)
    column, maps = found.catalog["vae_uncertainty"], sampled.maps(image)
    assert column.info.description
    np.testing.assert_array_equal(maps["probability"], found.probability)
    for label in (1, len(found)):
        assert column[label - 1] == pytest.approx(maps["uncertainty"][found.labels == label].mean(), rel=1e-5)
    assert 0 < column.min() <= column.max() < 0.5


def test_uncertainty_is_largest_at_the_outlines(field):
    finder = VAEFinder(device="cpu", samples=4)
    maps = finder.maps(field[0])
    unsure = np.abs(maps["probability"] - 0.5) < 0.3
    assert maps["uncertainty"][unsure].mean() > 2 * maps["uncertainty"][~unsure].mean()


def test_a_lower_threshold_gives_larger_sources(field):
    areas = [np.count_nonzero(VAEFinder(device="cpu", threshold=t).find(field[0]).labels) for t in (0.2, 0.5, 0.8)]
    assert areas == sorted(areas, reverse=True)


def test_small_islands_are_dropped(field):
    found = VAEFinder(device="cpu", min_pixels=30).find(field[0])
    assert found.catalog["n_pixels"].min() >= 30


@pytest.mark.parametrize(
    ("beam", "told"), [(9.0, r"its beam is 9\.0 x 9\.0 pixels wide, not 2 to 6"), (None, "no beam")]
)
def test_an_image_it_was_not_trained_for_is_flagged(beam, told):
    image, _ = make_field(beam=beam or 5.0)
    if beam is None:
        image.meta["beam"] = None
    with pytest.warns(AstrosegWarning, match=f"vae has not been trained for field: .*{told}"):
        found = VAEFinder(device="cpu").find(image)
    assert np.all(found.catalog["flags"] & 64)


def test_an_image_it_was_trained_for_is_not_flagged(field):
    assert not np.any(VAEFinder(device="cpu").find(field[0]).catalog["flags"] & 64)


@pytest.mark.parametrize("method", ["fixed", "yen"])
def test_nothing_found_warns(method):
    image, _ = make_field(n_sources=0)
    image.data = np.zeros_like(image.data)
    with pytest.warns(NoDetectionsWarning):
        assert len(VAEFinder(device="cpu", method=method, samples=1).find(image)) == 0


class TestTraining:
    torch = pytest.importorskip("torch")

    @pytest.fixture
    def task(self):
        from astroseg_networks.patch_task import VAETask
        from astroseg_networks.vae import VAE

        return VAETask(VAE(), 8, 0.1)

    def test_size(self):
        from astroseg_networks.vae import VAE

        assert sum(weights.numel() for weights in VAE().parameters()) == pytest.approx(0.12e6, rel=0.05)

    def test_noise_moves_the_latent_vector(self):
        from astroseg_networks.vae import VAE

        network = VAE().eval()
        image = self.torch.zeros(2, 2, 16, 16)
        image[1, 1, 0] = 1
        with self.torch.inference_mode():
            answer = network(image)
            vector = answer["mean"][1] + self.torch.exp(answer["log_variance"][1] / 2)
            moved = network.decoder(vector.reshape(1, 16))
        assert answer["segmentation"].shape == (2, 1, 16, 16)
        assert answer["mean"].shape == answer["log_variance"].shape == (2, 16, 1, 1)
        self.torch.testing.assert_close(answer["segmentation"][1], moved[0])
        assert not self.torch.equal(answer["segmentation"][0], moved[0])

    def test_divergence_is_that_of_gaussians(self):
        from astroseg_networks.patch_task import divergence

        mean, log_variance = self.torch.tensor([0.0, 1.5]), self.torch.tensor([0.0, -2.0])
        made = self.torch.distributions.Normal(mean, self.torch.exp(log_variance / 2))
        expected = self.torch.distributions.kl_divergence(made, self.torch.distributions.Normal(0.0, 1.0))
        self.torch.testing.assert_close(divergence(mean, log_variance), expected)

    def test_active_units_are_those_whose_mean_varies(self):
        from astroseg_networks.patch_task import active_units

        spread = np.array([0.0, 0.05, 0.2, 1.0])  # standard deviations
        mean = np.random.default_rng(0).standard_normal((4000, 4)) * spread
        assert active_units(mean[:, :, None, None]) == 2

    def test_losses_and_scores(self, task, monkeypatch, tmp_path):
        monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 2)
        drawn = task.draw(np.random.default_rng(1))
        assert drawn["image"].shape == (16, 16, 16)  # a patch and its noise, one after the other
        assert drawn["segmentation"].shape == (8, 16, 16)
        batch = {name: self.torch.from_numpy(values)[None] for name, values in drawn.items()}
        losses = task.losses(task.network(batch["image"]), batch)
        assert set(losses) == {"segmentation", "divergence"}
        assert all(loss.item() > 0 for loss in losses.values())
        scores = task.scores(tmp_path)
        assert list(scores) == ["dice", "nats", "active"]
        assert not task.unseen[0]["image"][1::2].any()  # the best masks are scored, not samples

    def test_masks_from_masks(self):
        from astroseg_networks.patch_task import MaskTask
        from astroseg_networks.vae import VAE

        drawn = MaskTask(VAE(), 4, 0.1).draw(np.random.default_rng(1))
        np.testing.assert_array_equal(drawn["image"][::2], drawn["segmentation"])

    def test_the_decoder_of_the_prior_is_left_as_it_is(self):
        from astroseg_networks.patch_task import PriorTask
        from astroseg_networks.vae import VAE

        network = VAE()
        before = network.encoder[0][0].weight
        task = PriorTask(network, 4, 0.1)
        assert task.network.encoder[0][0].weight is not before
        learning = {name.split(".")[0] for name, values in task.network.named_parameters() if values.requires_grad}
        assert learning == {"encoder"}
        assert not list(network.decoder.buffers())  # of batch norms, which would go on counting


class TestTrainer:
    lightning = pytest.importorskip("lightning")
    onnxscript = pytest.importorskip("onnxscript")

    def train(self, folder, **options):
        from astroseg_networks.vae_trainer import VAETrainer

        settings = {"steps": 2, "batch": 1, "patches": 4, "every": 2, "workers": 0, "device": "cpu"}
        trainer = VAETrainer(**settings, **options)
        trainer.validate()
        return trainer.train(folder, quiet=True)

    def test_masks_then_the_prior(self, field, tmp_path, monkeypatch):
        from astroseg_networks.runtime import load_network
        from astroseg_networks.weights import read_weights

        monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 3)
        masks = self.train(tmp_path / "masks", mode="masks")[0]
        files = self.train(tmp_path / "prior", mode="prior", start=str(masks))
        assert [path.name for path in files] == ["vae.safetensors", "vae.onnx", "vae.int8.onnx"]
        before, after = (load_network(read_weights(path), VAEFinder.build).state_dict() for path in (masks, files[0]))
        same = {name for name in before if before[name].equal(after[name])}
        assert same >= {name for name in before if name.startswith("decoder")}
        assert "encoder.0.0.weight" not in same
        patches = np.zeros((3, 2, 16, 16), dtype="f4")
        patches[:, 0] = field[0].data[:48].reshape(3, 16, -1)[:, :, :16] / 1e-4
        for path in files[:2]:
            card = read_weights(path).card
            assert card["options"]["mode"] == "prior"
            assert set(card["scores"]) == {"dice", "nats", "active"}
        answers = [_answer(path, patches) for path in files[:2]]
        for name in ("segmentation", "mean", "log_variance"):
            np.testing.assert_allclose(answers[0][name], answers[1][name], atol=1e-4)

    def test_the_prior_needs_a_decoder_of_masks(self, tmp_path):
        with pytest.raises(UsageError, match="mode=prior needs the weights of a training with mode=masks"):
            self.train(tmp_path, mode="prior")


def _answer(path, patches):
    from astroseg_networks.runtime import open_runtime

    return open_runtime(str(path), "vae", "cpu", VAEFinder.build)(patches)
