"""The networks that restore, and their training, as ``astroseg train`` does it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnxscript", reason="needs the extra train")

import torch
from astropy.io import fits
from astroseg_networks.dirty_examples import as_example, convolved, restoration_losses
from astroseg_networks.dirty_skies import SimulatedSkies, draw_dirty_sky
from astroseg_networks.dirty_units import AREA
from astroseg_networks.own_pairs import CleanedSkies, OwnPairs
from astroseg_networks.pix2pix import PUBLISHED, Adversaries, Discriminator, Generator
from astroseg_networks.pix2pix_restorer import Pix2PixRestorer
from astroseg_networks.pix2pix_trainer import FORMS, Pix2PixTrainer
from astroseg_networks.restoration_task import Pix2PixTask, UnrolledTask
from astroseg_networks.unrolled import Unrolled
from astroseg_networks.unrolled_restorer import UnrolledRestorer
from astroseg_networks.unrolled_trainer import UnrolledTrainer
from astroseg_networks.weights import read_card
from scipy.signal import fftconvolve

from astroseg.clean import CleanRestorer
from astroseg.errors import ImageError, UsageError
from astroseg.simulate.xray import simulate_xray

SKIES = SimulatedSkies(64, 0.5, balanced=True)
QUICK = {"steps": 1, "every": 1, "workers": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr("astroseg_networks.restoration_task.UNSEEN", 2)


def size_of(network):
    return sum(values.numel() for values in network.parameters())


def batch_of(task, count=2):
    examples = [task.draw(np.random.default_rng(seed)) for seed in range(count)]
    return {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}


def test_the_published_networks():
    """54.4 and 2.77 million weights, and 30 x 30 patches of 256 x 256 pixels (Isola et al. 2017)."""
    with torch.device("meta"):
        generator, judge = Generator(PUBLISHED, 1, 3), Discriminator()
        assert judge(torch.empty(1, 1, 256, 256), torch.empty(1, 1, 256, 256)).shape == (1, 1, 30, 30)
    assert round(size_of(generator) / 1e6, 1) == 54.4
    assert round(size_of(judge) / 1e6, 2) == 2.77


def test_the_light_networks():
    assert size_of(Generator()) < 2.6e6
    assert size_of(Unrolled()) < 0.5e6


def test_a_patch_of_the_judge_sees_70_pixels():
    judge = Discriminator(4)
    maps = torch.zeros(1, 1, 256, 256, requires_grad=True)
    # The norm looks at the whole map; without it only the patch remains.
    for layer in list(judge.modules()):
        if isinstance(layer, torch.nn.InstanceNorm2d):
            layer.forward = lambda values: values
    judge(maps, torch.zeros(1, 1, 256, 256))[0, 0, 15, 15].backward()
    rows = torch.nonzero(maps.grad[0, 0].abs().sum(1)).ravel()
    assert rows[-1] - rows[0] + 1 == 70


def test_examples_are_as_numpy_has_them():
    sky = draw_dirty_sky(np.random.default_rng(3), 64)
    arrays = as_example(sky)
    assert np.abs(arrays["dirty"]).max() == pytest.approx(1)
    model = np.random.default_rng(1).normal(size=(64, 64)).astype("f4")
    for name in ("psf", "beam"):
        ours = convolved(torch.from_numpy(model)[None, None], torch.from_numpy(arrays[name])[None])
        expected = fftconvolve(model, getattr(sky, name), mode="same") / AREA
        np.testing.assert_allclose(ours[0, 0], expected, atol=1e-4)


def test_an_empty_map_has_losses_of_one():
    truth = torch.rand(3, 1, 8, 8)
    losses = restoration_losses(torch.zeros_like(truth), truth)
    assert losses["l1"].item() == pytest.approx(1)
    assert losses["rms"].item() == pytest.approx(1, abs=1e-4)


def test_the_dirty_beam_is_in_the_middle_of_its_plane():
    planes = Pix2PixTask(Adversaries(Generator(), Discriminator(4)), SKIES, adversarial=0, published=False).draw(
        np.random.default_rng(1)
    )["image"]
    assert planes.shape == (2, 64, 64)
    assert planes[1, 32, 32] == pytest.approx(1)


def test_each_adversary_learns_from_its_own_loss():
    torch.manual_seed(1)
    both = Adversaries(Generator(), Discriminator(4))
    task = Pix2PixTask(both, SKIES, adversarial=0.5, published=True)
    batch = batch_of(task)
    losses = task.losses(both(batch["image"]), batch)
    assert set(losses) == {"l1", "adversarial", "judge"}
    for name, learns, rests in (
        ("adversarial", both.generator, both.discriminator),
        ("judge", both.discriminator, both.generator),
    ):
        both.zero_grad()
        losses[name].backward(retain_graph=True)
        assert any(values.grad is not None and values.grad.any() for values in learns.parameters()), name
        assert not any(values.grad is not None and values.grad.any() for values in rests.parameters()), name


def test_a_later_stage_sees_what_the_first_left():
    """Two stages by hand."""
    torch.manual_seed(1)
    network = Unrolled((8, 8, 8))
    task = UnrolledTask(network, SKIES)
    batch = batch_of(task)
    with torch.inference_mode():
        first = network(batch["image"])["model"]
        residual = batch["dirty"] - convolved(first, batch["psf"])
        second = network(torch.cat([residual, first, batch["dirty"]], dim=1))["model"]
        torch.testing.assert_close(task.models({"model": first}, batch)[1], second)


def test_clean_as_the_target():
    sky, cleaned = (skies.draw(np.random.default_rng(2)) for skies in (SKIES, CleanedSkies(SKIES)))
    np.testing.assert_array_equal(sky.dirty, cleaned.dirty)
    assert 0 < np.abs(cleaned.truth - sky.truth).mean() < 0.5 * np.abs(sky.truth).mean()
    np.testing.assert_array_equal(CleanedSkies(SKIES).unseen(1)[0].truth, SKIES.unseen(1)[0].truth)


@pytest.mark.parametrize(
    ("trainer", "restorer", "options"),
    [
        (UnrolledTrainer, UnrolledRestorer, {"size": 32, "batch": 2}),
        (Pix2PixTrainer, Pix2PixRestorer, {"size": 32, "batch": 2, "adversarial": 0.1}),
    ],
)
def test_weights_are_written_and_used(tmp_path, trainer, restorer, options):
    made = trainer(**QUICK, **options)
    made.validate()
    files = made.train(tmp_path, quiet=True)
    assert [path.name for path in files] == [f"{made.name}.safetensors", f"{made.name}.onnx"]
    card = read_card(files[1])
    assert card["architecture"] == {"name": made.name}
    assert set(card["scores"]) == {"accuracy", "error", "left"}
    assert card["calibration"]["beams"] == [made.narrowest, made.widest]
    image = simulate_xray(seed=1, size=65, pixel=2.0).image
    maps = [restorer(weights=str(path), steps=0).restore(image).data for path in files]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3 * np.abs(maps[0]).max())


def test_the_published_form():
    trainer = Pix2PixTrainer(**QUICK, form="published")
    assert trainer.arguments == {"widths": PUBLISHED, "normed": 1, "dropped": 3}
    recipe = trainer.recipe()
    assert (recipe.batch, recipe.rate, recipe.betas) == (1, 2e-4, (0.5, 0.999))
    assert Pix2PixTrainer(**QUICK, form="published", rate=1e-3).recipe().rate == 1e-3


@pytest.fixture
def own(tmp_path):
    """Dirty maps of three flares and what CLEAN made of them, one pixel larger than the dirty ones are wanted."""
    for number in range(3):
        sky = simulate_xray(seed=20 + number, size=65, pixel=4.0, sources=1)
        sky.image.wcs.wcs.dateobs = f"2022-0{number + 1}-01T00:00:00"
        sky.write(tmp_path / f"flare{number}")
        clean = CleanRestorer(niter=100).restore(sky.image)
        header = clean.wcs.to_header()
        header["BUNIT"] = "ct"
        fits.writeto(tmp_path / f"clean{number}.fits", clean.data[:64, :64], header)
    return tmp_path


def paths(folder, pattern, count=3):
    return [folder / pattern.format(number) for number in range(count)]


def test_own_pairs(own):
    images, targets = paths(own, "flare{}.fits"), paths(own, "clean{}.fits")
    pairs = OwnPairs(images, targets, 64)
    assert (len(pairs.skies), len(pairs.kept)) == (2, 1)
    np.testing.assert_array_equal(pairs.skies[0].truth, fits.getdata(targets[0]))
    np.testing.assert_array_equal(pairs.skies[0].dirty, fits.getdata(images[0])[:64, :64])
    by_clean = OwnPairs(images, [], 64)
    assert np.abs(by_clean.skies[0].truth - pairs.skies[0].truth).mean() < 0.05 * pairs.skies[0].truth.max()


def test_training_on_own_pairs_as_published(own, monkeypatch, tmp_path):
    """Small, but otherwise as published: bright and faint flares keep their ratio."""
    images, targets = (",".join(map(str, paths(own, f"{name}{{}}.fits"))) for name in ("flare", "clean"))
    small = replace(FORMS["published"], arguments={"widths": (8, 8, 8), "normed": 1, "dropped": 1}, judge=4)
    monkeypatch.setitem(FORMS, "published", small)
    trainer = Pix2PixTrainer(**QUICK, form="published", size=64, images=images, targets=targets)
    trainer.validate()
    files = trainer.train(tmp_path / "run", quiet=True)
    largest = max(np.abs(fits.getdata(path)[:64, :64]).max() for path in paths(own, "flare{}.fits", 2))
    assert read_card(files[0])["calibration"]["scale"] == pytest.approx(largest)
    made = Pix2PixRestorer(weights=str(files[1])).restore(own / "flare0.fits")
    assert np.isfinite(made.data).all()


def test_bad_pairs(own):
    images, targets = paths(own, "flare{}.fits"), paths(own, "clean{}.fits")
    with pytest.raises(UsageError, match="All maps are of one flare"):
        OwnPairs(images[:1], targets[:1], 64)
    with fits.open(targets[0], mode="update") as hdul:
        hdul[0].header["CRPIX1"] += 1
    with pytest.raises(ImageError, match="CRPIX of"):
        OwnPairs(images, targets, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "a.fits,b.fits", "targets": "c.fits"}, "there are 2 images and 1 targets"),
        ({"images": "a.fits"}, "There is no file a.fits"),
        ({"size": 40}, "The size is 40; it must be a multiple of 32"),
    ],
)
@pytest.mark.parametrize("trainer", [UnrolledTrainer, Pix2PixTrainer])
def test_bad_options(trainer, options, message):
    with pytest.raises(UsageError, match=message):
        trainer(**QUICK, **options).validate()
