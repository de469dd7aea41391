"""Training the autoencoders, as ``astroseg train`` does."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from astroseg_networks.cae_trainer import CAETrainer
from astroseg_networks.runtime import load_network, open_runtime
from astroseg_networks.vae_finder import VAEFinder
from astroseg_networks.vae_trainer import VAETrainer
from astroseg_networks.weights import WeightsError, read_weights

from astroseg import UsageError
from astroseg.testing import make_field


def train(folder, **options):
    settings = {"steps": 2, "batch": 1, "patches": 4, "every": 2, "workers": 0, "device": "cpu"}
    trainer = VAETrainer(**settings, **options)
    trainer.validate()
    return trainer.train(folder, quiet=True)


def test_masks_then_the_prior(tmp_path, monkeypatch):
    monkeypatch.setattr("astroseg_networks.patch_task.UNSEEN", 3)
    masks = train(tmp_path / "masks", mode="masks")[0]
    files = train(tmp_path / "prior", mode="prior", start=str(masks))
    assert [path.name for path in files] == ["vae.safetensors", "vae.onnx"]
    before, after = (load_network(read_weights(path), VAEFinder.build).state_dict() for path in (masks, files[0]))
    same = {name for name in before if before[name].equal(after[name])}
    assert same >= {name for name in before if name.startswith("decoder")}
    assert "encoder.0.0.weight" not in same
    patches = np.zeros((3, 2, 16, 16), dtype="f4")
    patches[:, 0] = make_field()[0].data[:48].reshape(3, 16, -1)[:, :, :16] / 1e-4
    for path in files:
        card = read_weights(path).card
        assert card["options"]["mode"] == "prior"
        assert card["command"].startswith("astroseg train vae --set mode=prior --set start=")
        assert set(card["scores"]) == {"dice", "nats", "active"}
    answers = [_answer(path, patches) for path in files]
    for name in ("segmentation", "mean", "log_variance"):
        np.testing.assert_allclose(answers[0][name], answers[1][name], atol=1e-4)


def test_the_prior_needs_a_decoder_of_masks(tmp_path):
    with pytest.raises(UsageError, match="mode=prior needs the weights of a training with mode=masks"):
        train(tmp_path, mode="prior")


def test_what_is_not_there_is_told_before_anything_is_written():
    with pytest.raises(UsageError, match="no device 'gpu'"):
        CAETrainer(device="gpu").validate()
    with pytest.raises(WeightsError, match=r"Cannot begin with the weights .* they are of"):
        CAETrainer(start="vae").validate()
    with pytest.raises(WeightsError, match="No weights named 'vea'"):
        VAETrainer(start="vea").validate()
    with pytest.raises(WeightsError, match="No such file"):
        VAETrainer(start="none.safetensors").validate()
    VAETrainer(mode="prior", start="vae-prior").validate()


def _answer(path, patches):
    return open_runtime(str(path), "vae", "cpu", VAEFinder.build)(patches)
