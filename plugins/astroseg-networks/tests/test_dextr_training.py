"""Objects to train on, and the training, as ``astroseg train dextr`` does it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astroseg_networks.dextr_examples import SimulatedObjects, draw_prompt, make_example
from astroseg_networks.dextr_input import FORMS, STRETCH
from astroseg_networks.irregular_scenes import DOMAINS, ISOPHOTE, LENGTHS, draw_scene
from astroseg_networks.irregular_shapes import central_part, random_field
from astroseg_networks.own_objects import OwnObjects
from astroseg_networks.prompts import Prompt, extreme_points
from scipy import ndimage

from astroseg.errors import UsageError

FORM = FORMS["light"]


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("domain", DOMAINS)
def test_scenes(domain):
    """An object that stands out by its signal to noise, in noise of one."""
    scenes = [draw_scene(rng(seed), domain, snr=(20, 30)) for seed in range(6)]
    for scene in scenes:
        assert scene.image.dtype == np.float32
        assert np.isfinite(scene.image).all()
        assert scene.image.shape == scene.mask.shape
        assert scene.mask.any()
        assert 20 <= scene.snr <= 30
        assert max(np.ptp(index) + 1 for index in np.nonzero(scene.mask)) >= LENGTHS[0]
    again = draw_scene(rng(3), domain, snr=(20, 30))
    np.testing.assert_array_equal(again.image, scenes[3].image)


@pytest.mark.parametrize("domain", ["radio", "optical"])
def test_isophotes(domain):
    """Within the object the sky is brighter than twice the noise, on average by more, and that is what one sees."""
    for seed in range(5):
        scene = draw_scene(rng(seed), domain, snr=(10, 30))
        grown, shrunk = (grow(scene.mask, iterations=2) for grow in (ndimage.binary_dilation, ndimage.binary_erosion))
        border = np.mean(scene.image[grown & ~shrunk])
        assert np.mean(scene.image[shrunk]) > border
        assert border == pytest.approx(ISOPHOTE, abs=1.5)


def test_a_flare_outshines_the_disk():
    """The slope of the Sun's disk does not grow with what is on it: what surrounds a flare looks as ever."""
    heights = []
    for seed in range(12):
        scene = draw_scene(rng(seed), "solar", snr=(500, 1000))
        example = make_example([scene.image], scene.mask, Prompt(points=extreme_points(*np.nonzero(scene.mask))), FORM)
        inside = example["segmentation"][0] > 0.5
        heights.append(np.sinh(STRETCH * np.abs(np.median(example["image"][0][inside]))))
    assert np.median(heights) > 50


def test_random_fields_have_their_spectrum():
    field = random_field(rng(1), (256, 256), 3.0)
    assert field.std() == pytest.approx(1, abs=1e-3)
    power = np.abs(np.fft.rfft2(field)[1:100, 1:100]) ** 2
    k = np.hypot(*np.meshgrid(np.arange(1, 100), np.arange(1, 100)))
    low, high = ((k >= a) & (k < b) for a, b in ((4, 6), (16, 24)))
    assert np.log(power[low].mean() / power[high].mean()) / np.log(4) == pytest.approx(3.0, abs=0.5)


def test_the_part_with_the_peak():
    level = np.zeros((9, 9))
    level[1:3, 1:3], level[5:8, 5:8], level[6, 6] = 1, 1, 2
    np.testing.assert_array_equal(np.argwhere(central_part(level > 0, level)).min(axis=0), [5, 5])


def test_prompts_to_train_on():
    mask = np.zeros((90, 120), dtype=bool)
    mask[20:60, 30:80] = True
    prompts = [draw_prompt(rng(seed), mask) for seed in range(200)]
    boxes = [prompt for prompt in prompts if prompt.box is not None]
    assert 30 < len(boxes) < 75
    true = np.array([30, 20, 79, 59])
    loose = np.array([prompt.bounds for prompt in boxes]) - true
    size = np.array([50, 40])
    assert (loose[:, :2] <= 0.03 * size + 1e-9).all()
    assert (loose[:, :2] >= -0.25 * size).all()
    assert (loose[:, 2:] <= 0.25 * size).all()
    points = np.array([prompt.points for prompt in prompts if prompt.box is None])
    off = points - extreme_points(*np.nonzero(mask))
    assert 0.3 < off.std() < 2
    assert np.abs(off).max() <= 3
    assert 0.2 < np.mean((off == 0).all(axis=(1, 2))) < 0.45
    clicked = [prompt for prompt in prompts if len(prompt.inside)]
    assert 15 < len(clicked) < 80
    for prompt in clicked:
        column, row = prompt.inside.astype(int).T
        assert mask[row, column].all()
    for prompt in prompts:
        column, row = prompt.outside.astype(int).T
        assert not mask[row, column].any()


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_examples(channels):
    example = SimulatedObjects(FORM, channels).draw(rng(4))
    assert example["image"].shape == (2 * channels + 4, 256, 256)
    assert example["segmentation"].shape == example["weight"].shape == (1, 256, 256)
    assert {values.dtype for values in example.values()} == {np.dtype("f4")}
    assert 0 < example["segmentation"].mean() < 0.6
    assert np.isfinite(example["image"]).all()


def test_unseen_objects_are_always_the_same():
    first, again = (SimulatedObjects(FORM, 1).unseen(2) for _ in range(2))
    np.testing.assert_array_equal(first[1]["image"], again[1]["image"])
    assert not np.array_equal(first[0]["image"], first[1]["image"])


@pytest.fixture
def own(tmp_path):
    """An image with six objects, and its label image."""
    labels = np.zeros((150, 200), dtype="i4")
    for number in range(6):
        row, column = 15 + 65 * (number // 3), 20 + 60 * (number % 3)
        labels[row : row + 25, column : column + 30] = number + 1
    data = rng(1).normal(size=labels.shape) + 12 * (labels > 0)
    fits.writeto(tmp_path / "image.fits", data.astype("f4"))
    fits.writeto(tmp_path / "labels.fits", labels)
    return tmp_path


def test_own_objects(own):
    objects = OwnObjects([own / "image.fits"], [own / "labels.fits"], FORM)
    assert (len(objects.objects), len(objects.kept)) == (5, 1)
    example = objects.draw(rng(2))
    inside = example["segmentation"][0] > 0.5
    assert example["image"][1][inside].mean() > example["image"][1][~inside].mean() + 0.5
    assert len(objects.unseen(10)) == 1


def test_too_few_own_objects(own):
    fits.writeto(own / "one.fits", np.pad(np.ones((9, 9), dtype="i4"), ((20, 121), (20, 171))))
    with pytest.raises(UsageError, match="There are 1 objects"):
        OwnObjects([own / "image.fits"], [own / "one.fits"], FORM)


class TestTraining:
    """With torch."""

    @pytest.fixture(autouse=True)
    def _extra(self, monkeypatch):
        pytest.importorskip("lightning")
        pytest.importorskip("onnxscript")
        monkeypatch.setattr("astroseg_networks.dextr_task.UNSEEN", 2)

    def trainer(self, **options):
        from astroseg_networks.dextr_trainer import DEXTRTrainer

        trainer = DEXTRTrainer(**{"steps": 1, "batch": 2, "every": 1, "workers": 0, "device": "cpu", **options})
        trainer.validate()
        return trainer

    def test_weights_are_written_and_used(self, tmp_path):
        from astroseg_networks.dextr_finder import DEXTRFinder
        from astroseg_networks.weights import read_card

        files = self.trainer(channels=2).train(tmp_path, quiet=True)
        assert [path.name for path in files] == ["dextr.safetensors", "dextr.onnx"]
        card = read_card(files[1])
        assert card["architecture"] == {"name": "dextr", "channels": 2}
        assert card["form"] == "light"
        assert set(card["scores"]) == {"iou", "poor"}
        data = rng(1).normal(size=(80, 80))
        data[20:50, 25:60] += 20
        points = [[(25, 35), (59, 35), (40, 20), (40, 49)]]
        maps = [
            DEXTRFinder(weights=str(path), threshold=0.01).find(data, points=points, channels=[data]).probability
            for path in files
        ]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-3)

    def test_on_own_objects(self, own):
        options = {"images": str(own / "image.fits"), "truths": str(own / "labels.fits")}
        task = self.trainer(**options).task(self.trainer().build({}))
        assert len(task.unseen) == 1
        assert 0 <= task.scores(own)["iou"] <= 1
        assert (own / "examples.png").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"images": "a.fits"}, "there are 1 images and 0 truths"),
            ({"images": "a.fits", "truths": "b.fits"}, "There is no file a.fits"),
            ({"size": 100}, "multiple of 32, not 100"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(UsageError, match=message):
            self.trainer(**options)

    def test_the_network_is_light(self):
        network = self.trainer().build({"channels": 1})
        assert sum(values.numel() for values in network.parameters()) <= 2.9e6

    def test_each_object_counts_the_same(self):
        """The overlap of soft masks, by hand: half of one object of 30 pixels, and a quarter of one of 9."""
        import torch
        from astroseg_networks.dextr_task import object_loss
        from torch.nn.functional import binary_cross_entropy_with_logits

        target = torch.zeros(2, 1, 10, 10)
        target[0, 0, :3], target[1, 0, :3, :3] = 1, 1
        logit = torch.where(target > 0, torch.tensor([0.0, -np.log(3.0)]).view(2, 1, 1, 1), torch.tensor(-40.0))
        weight = torch.ones_like(target)
        overlaps = (16 / 31 + 3.25 / 10) / 2
        entropy = binary_cross_entropy_with_logits(logit, target).item()
        assert object_loss(logit, target, weight).item() == pytest.approx(entropy + 1 - overlaps, abs=1e-5)
        weight[:, :, 5:] = 0
        rubbish = logit.clone()
        rubbish[:, :, 5:] = 9
        assert object_loss(rubbish, target, weight).item() == object_loss(logit, target, weight).item()

    def test_trained_on_a_coarser_grid(self):
        task = self.trainer(size=64).task(self.trainer().build({}))
        assert task.unseen[0]["image"].shape == (6, 64, 64)

    def test_the_published_form(self):
        """Half of the loss is the object's, however small it is."""
        import torch
        from astroseg_networks.dextr_task import balanced_loss

        target = torch.zeros(1, 1, 10, 10)
        target[..., 0, 0] = 1
        weight = torch.ones_like(target)
        logit = torch.full_like(target, 0.0)
        assert balanced_loss(logit, target, weight).item() == pytest.approx(2 * 0.01 * 0.99 * np.log(2), rel=1e-5)
        published = FORMS["published"]
        assert (published.least, published.fwhm, published.threshold) == (50, 10, 0.8)
