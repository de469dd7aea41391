"""Training: interruption, early stop, weights; examples from simulated skies and from the user's own images."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

import torch
from astroseg_networks.calibration import probability_of
from astroseg_networks.export import save_master
from astroseg_networks.history import History
from astroseg_networks.own_images import LEAST_SEEN, OwnImages
from astroseg_networks.patches import logistic
from astroseg_networks.progress import TrainingProgress
from astroseg_networks.runtime import load_network, open_runtime
from astroseg_networks.skies import draw_sky
from astroseg_networks.targets import Sources, source_targets
from astroseg_networks.training import Recipe, fit, load_best
from astroseg_networks.unet import HEADS, UNet
from astroseg_networks.unet_task import SimulatedSkies, UNetTask
from astroseg_networks.unet_trainer import UNetTrainer
from astroseg_networks.validation import Matches, dice, match_centres
from astroseg_networks.weights import WeightsError, read_weights
from lightning.pytorch.callbacks import Callback

from astroseg import AstrosegWarning, UsageError, read_image
from astroseg.testing.fields import reread

FIELD = Path(__file__).parents[3] / "catalogs" / "radio-extended"
IMAGE, TRUTH = f"{FIELD}.fits", f"{FIELD}.truth.ecsv"
SMALL = {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class DotTask:
    """A single convolution that learns to add; the scores are told."""

    def __init__(self, scores=()):
        torch.manual_seed(1)
        self.network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, padding=1), torch.nn.BatchNorm2d(2))
        self.told, self.drawn = list(scores), []

    def draw(self, rng):
        self.drawn.append(rng.bit_generator.seed_seq.entropy[1])
        return {"image": rng.normal(size=(2, 8, 8)).astype("f4")}

    def losses(self, answer, batch):
        return {"sum": (answer - batch["image"].sum(dim=1, keepdim=True)).square().mean(),
                "chance": 0 * torch.rand(1).sum()}  # fmt: skip

    def scores(self, folder):
        return {"score": self.told.pop(0) if self.told else 0.5, "other": 1.0}


class StopAt(Callback):
    """Ctrl-C at a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def recipe(**changes):
    return Recipe(**{"steps": 11, "batch": 2, "rate": 1e-2, "seed": 3, "every": 3, "workers": 0} | changes)


def rows(folder):
    with (folder / "history.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "minutes"} for row in csv.DictReader(file)]


def same_weights(first, second):
    pairs = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    whole = DotTask()
    fit(whole, recipe(), tmp_path / "whole", "cpu")
    assert whole.drawn == list(range(22))
    for step in (2, 4, 8, 10):
        with pytest.raises(KeyboardInterrupt):
            fit(DotTask(), recipe(), tmp_path / "pieces", "cpu", [StopAt(step)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    pieces = DotTask()
    history = fit(pieces, recipe(), tmp_path / "pieces", "cpu")
    assert same_weights(whole, pieces)
    assert [row["facts"]["examples"] for row in history.rows] == [6, 12, 18, 22]
    assert rows(tmp_path / "whole") == rows(tmp_path / "pieces")
    again = fit(DotTask(), recipe(), tmp_path / "pieces", "cpu")
    assert again.rows == history.rows
    assert sorted(path.name for path in (tmp_path / "pieces").iterdir()) == ["best.ckpt", "history.csv", "last.ckpt"]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress(tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with pytest.raises(KeyboardInterrupt):
        fit(DotTask(), recipe(), tmp_path, "cpu", [TrainingProgress(11), StopAt(8)])
    fit(DotTask([0.7, 0.6]), recipe(), tmp_path, "cpu", [TrainingProgress(11)])
    err = capsys.readouterr().err
    assert re.findall(r"step (\d+)  loss", err) == ["3", "6", "9", "11"]
    assert "score 0.6000  other 1.0000  best 0.7000\n" in err
    assert ("/11" in err) == terminal


def test_workers_draw_the_same_examples(tmp_path):
    here, there = DotTask(), DotTask()
    fit(here, recipe(steps=3), tmp_path / "here", "cpu")
    fit(there, recipe(steps=3, workers=1), tmp_path / "there", "cpu")
    assert same_weights(here, there)


def test_it_stops_when_the_score_gets_no_better_and_keeps_the_best(tmp_path):
    task = DotTask([0.2, 0.6, 0.5, float("nan"), 0.9])
    history = fit(task, recipe(steps=99, every=1, patience=2), tmp_path, "cpu")
    assert history.last("step") == 4
    assert (history.best["facts"]["step"], history.best["scores"]["score"]) == (2, 0.6)
    last = {name: value.clone() for name, value in task.network.state_dict().items()}
    load_best(task.network, tmp_path)
    assert not torch.equal(task.network.state_dict()["0.weight"], last["0.weight"])
    assert task.network.state_dict()["1.num_batches_tracked"] == 2
    again = fit(DotTask([0.9]), recipe(steps=99, every=1, patience=2), tmp_path, "cpu")
    assert again.last("step") == 4


def test_history_of_nothing():
    history = History(patience=1)
    assert not history.stale
    assert history.last("step") == 0


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "cuda:99"])
def test_devices_that_are_not_there(tmp_path, device):
    with pytest.raises(UsageError, match=f"no device '{device}'"):
        fit(DotTask(), recipe(), tmp_path, device)


# Scores


def logits(**maps):
    """Maps of a network that sees nothing, some of them replaced."""
    empty = {name: np.full((count, 32, 32), -9.0 if count == 1 else 0.0) for name, count in HEADS.items()}
    return empty | {name: np.asarray(values, dtype=float) for name, values in maps.items()}


def known(*centres):
    truth = {name: np.zeros((1, 32, 32)) for name in ("centre", "segmentation")}
    truth |= {"weight": np.ones((1, 32, 32)), "vote": np.zeros((2, 32, 32)), "image": np.zeros((2, 32, 32))}
    for row, column in centres:
        truth["centre"][0, row, column] = truth["segmentation"][0, row, column] = 1
    return truth


def test_centres_are_matched_one_to_one_within_half_a_beam():
    centre = np.full((1, 32, 32), -9.0)
    for row, column, score in ((5, 5, 3.0), (5, 8, 2.0), (20, 20, 1.0), (28, 3, -1.0)):
        centre[0, row, column] = score
    matches = match_centres([logits(centre=centre)], [known((5, 6), (20, 20), (28, 28))])
    assert matches.score.tolist() == [3, 2, 1, -1]
    assert matches.real.tolist() == [True, False, True, False]
    assert matches.number == 3
    assert matches.f1 == pytest.approx(2 * 2 / (3 + 3))


def test_scores_of_nothing():
    assert match_centres([logits()], [known((5, 6))]).f1 == 0
    assert Matches(np.array([]), np.array([], dtype=bool), 0).f1 == 0
    assert np.isnan(dice([logits()], [known()]))


def test_dice_counts_what_is_seen():
    truth = known((5, 6), (7, 8))
    assert dice([logits(segmentation=truth["segmentation"] - 0.5)], [truth]) == 1
    truth["weight"][0, 5, 6] = 0
    found = np.full((1, 32, 32), -1.0)
    found[0, 7, 8:10] = 1
    assert dice([logits(segmentation=found)], [truth]) == pytest.approx(2 / 3)


# Examples


def test_what_the_network_is_asked_for():
    """A bright source, a fainter one 0.3 beams beside it, one of unknown size, and one in the noise."""
    sources = Sources(
        x=np.array([10.3, 11.0, 24.0, 5.0]),
        y=np.array([20.6, 20.6, 8.0, 5.0]),
        peak=np.array([9.0, 4.0, np.inf, 1.9]),
        flux=np.array([np.e**2, 5.0, np.nan, 3.0]),
        size=np.array([[4.0, 0.0, 1.0], [1, 0, 1], [np.nan] * 3, [0, 0, 0]]),
    )
    labels = np.zeros((32, 32), dtype=int)
    labels[19:23, 9:13], labels[8, 24], labels[5, 5] = 1, 3, 4
    seen = np.ones((32, 32), dtype=bool)
    seen[19] = False
    targets = source_targets(sources, labels, seen, beam=2.5)
    assert np.argwhere(targets["centre"][0] == 1).tolist() == [[8, 24], [21, 10]]
    np.testing.assert_allclose(targets["vote"][:, 22, 12], [-1.7, -1.4], atol=1e-5)
    assert targets["vote_weight"][0, [22, 21, 19, 5], [12, 10, 10, 5]].tolist() == [1, 4, 0, 0]
    np.testing.assert_allclose(targets["shape"][:, 21, 10], [2, np.log(2), 0, 1, 0], atol=1e-6)
    assert targets["shape_weight"][0, [21, 8], [10, 24]].tolist() == [1, 0]
    assert targets["segmentation"].sum() == 18
    assert targets["weight"].sum() == 31 * 32
    assert all(np.isfinite(values).all() for values in targets.values())


def test_validation_draws_what_training_does_not():
    first, again = (SimulatedSkies(64).unseen(2) for _ in range(2))
    np.testing.assert_array_equal(first[1]["image"], again[1]["image"])
    assert not np.array_equal(first[0]["image"], first[1]["image"])
    assert not np.array_equal(first[0]["image"], draw_sky(np.random.default_rng([0, 0]), 64)["image"])


@pytest.fixture(scope="module")
def own():
    return OwnImages([IMAGE], [TRUTH], 64)


def turned(values, turns, *, mirrored):
    return np.rot90(values[..., ::-1] if mirrored else values, turns, axes=(-2, -1))


def turned_vector(values, turns, *, mirrored, per_turn, mirror):
    vector = values[0] + 1j * values[1]
    vector = mirror * vector.conj() if mirrored else vector
    return turned(vector * per_turn**turns, turns, mirrored=mirrored)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_patch_has_turned_answers(own, turns, mirrored):
    sky = own.skies[0]
    plain, other = sky.patch(100, 150, 64), sky.patch(100, 150, 64, turns=turns, mirrored=mirrored)
    assert plain["shape_weight"].any()
    for name in ("image", "segmentation", "centre", "weight", "shape_weight", "angle_weight", "vote_weight"):
        np.testing.assert_allclose(other[name], turned(plain[name], turns, mirrored=mirrored), atol=1e-4)
    np.testing.assert_allclose(other["shape"][:3], turned(plain["shape"][:3], turns, mirrored=mirrored), atol=1e-4)
    for values, expected in (
        (other["vote"], turned_vector(plain["vote"], turns, mirrored=mirrored, per_turn=-1j, mirror=-1)),
        (other["shape"][3:], turned_vector(plain["shape"][3:], turns, mirrored=mirrored, per_turn=-1, mirror=1)),
    ):
        np.testing.assert_allclose(values[0] + 1j * values[1], expected, atol=1e-4)


def test_training_and_validation_share_no_pixel(own):
    height, width = own.skies[0].seen.shape
    used = np.zeros((height, width), dtype=bool)
    for row, column in np.ndindex(height - 63, width - 63):
        if own.is_free(0, row, column):
            used[row : row + 64, column : column + 64] = True
    for row, column in own.kept[0]:
        assert not used[row : row + 64, column : column + 64].any()
    assert all(own.is_free(0, row, column) for _, row, column in own.blocks)
    assert len(own.kept[0]) == 6  # of 36 blocks a few are blank
    assert used.mean() > 0.6
    assert len(own.unseen(3)) == 3
    assert len(own.unseen(99)) == 6


def test_patches_lie_everywhere_but_in_the_blocks_for_validation(own):
    rng = np.random.default_rng(0)
    times = np.zeros(own.skies[0].seen.shape)
    for _ in range(3000):
        index, *block = own.blocks[rng.integers(len(own.blocks))]
        row, column = own._near(rng, index, np.array(block))
        assert own.is_free(index, row, column)
        times[row : row + 64, column : column + 64] += 1
    assert np.mean(times > 0) > 0.6


def with_blank(pixels):
    """The image, some pixels of which are blank."""
    image = read_image(IMAGE)
    data = image.data.astype("f4")
    data[pixels] = np.nan
    return reread(image, data)


def test_blank_regions_are_left_out():
    own = OwnImages([with_blank(np.s_[:, :200])], [TRUTH], 64)
    rng = np.random.default_rng(0)
    assert all(own.draw(rng)["weight"].mean() >= LEAST_SEEN for _ in range(200))
    assert all(patch["weight"].mean() >= LEAST_SEEN for patch in own.unseen(99))


def test_an_image_that_is_all_blank():
    with pytest.raises(UsageError, match="100% of them are blank: too few to train"):
        OwnImages([with_blank(np.s_[:])], [TRUTH], 64)


def test_own_images_are_drawn_like_skies(own):
    first, again = (own.draw(np.random.default_rng(2)) for _ in range(2))
    sky = draw_sky(np.random.default_rng(2), 64)
    assert {name: (values.shape, values.dtype) for name, values in first.items()} == {
        name: (values.shape, values.dtype) for name, values in sky.items()
    }
    for name in sky:
        np.testing.assert_array_equal(first[name], again[name])


def test_an_image_that_is_too_small():
    with pytest.raises(UsageError, match=r"radio-extended\.fits has .* blank: too few to train .* patches of 256"):
        OwnImages([IMAGE], [TRUTH], 256)


# The trainer


class SmallTrainer(UNetTrainer):
    """As small as it gets."""

    arguments = SMALL


def test_weights_come_in_three_forms_that_load_and_agree(tmp_path, capsys):
    trainer = SmallTrainer(steps=2, batch=2, size=64, every=1, workers=0, device="cpu", images=IMAGE, truths=TRUTH)
    trainer.validate()
    with pytest.warns(AstrosegWarning, match="too few sources to calibrate the probabilities"):
        files = trainer.train(tmp_path)
    assert [path.name for path in files] == ["unet.safetensors", "unet.onnx", "unet.int8.onnx"]
    assert (tmp_path / "examples.png").read_bytes().startswith(b"\x89PNG")
    err = capsys.readouterr().err
    assert err.startswith("step 1  loss ")
    assert len(err.splitlines()) == 2
    card = read_weights(files[0]).card
    own_files = f"--set images={IMAGE} --set truths={TRUTH}"
    assert card["architecture"] == {"name": "unet", **SMALL}
    assert (card["total_steps"], card["total_examples"], card["seed"]) == (2, 4, 1)
    assert card["best_step"] in {1, 2}
    assert card["command"] == f"astroseg train unet --set steps=2 --set batch=2 --set size=64 --set every=1 {own_files}"
    task = trainer.task(load_network(read_weights(files[0]), SmallTrainer.build))
    assert card["scores"] == task.scores(tmp_path)  # of the weights as they were rounded
    image = np.random.default_rng(1).normal(size=(2, 2, 80, 64)).astype("f4")
    first, second = (open_runtime(str(path), "unet", "cpu", SmallTrainer.build)(image) for path in files[:2])
    for name in HEADS:
        np.testing.assert_allclose(first[name], second[name], atol=1e-4)
    assert open_runtime(str(files[2]), "unet", "cpu", SmallTrainer.build)(image)["centre"].shape == (2, 1, 80, 64)
    more = SmallTrainer(steps=1, batch=1, size=64, rate=1e-9, workers=0, device="cpu", start=str(files[0]))
    more.validate()
    assert more.beginning().card == card
    with pytest.raises(WeightsError, match="Cannot begin with the weights"):
        UNetTrainer(start=str(files[0])).validate()


class NoPeaks:
    """A task with too few sources."""

    def calibration(self):
        return None


def test_too_few_sources_keep_the_calibration_of_the_start(card, tmp_path):
    curves = {"score": [-1.0, 2.0], "logit": [-3.0, 3.0], "rarity": [5.0, 20.0]}
    card = card | {"architecture": {"name": "unet", **SMALL}, "calibration": curves}
    master = save_master(UNet(**SMALL), card, tmp_path / "small.safetensors")
    facts = SmallTrainer(start=str(master)).facts(NoPeaks())
    assert facts["calibration"] == curves
    assert facts["calibrated"] == f"as the weights {master}: few sources"
    with pytest.warns(AstrosegWarning, match="too few sources"):
        facts = SmallTrainer().facts(NoPeaks())
    np.testing.assert_allclose(probability_of(np.array([-2.0, 1.0]), facts["calibration"]), logistic([-2.0, 1.0]))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [({"size": 100}, "multiples of 16"), ({"images": "a.fits, b.fits", "truths": "a.ecsv"}, "2 images and 1 truths"),
     ({"steps": 0}, "int >= 1"), ({"truths": "a.ecsv"}, "0 images and 1 truths"),
     ({"images": IMAGE, "truths": "a.ecsv"}, r"no file a\.ecsv to train on"), ({"device": "gpu"}, "no device 'gpu'")],
)  # fmt: skip
def test_options_that_make_no_sense(options, fragment):
    with pytest.raises(UsageError, match=fragment):
        UNetTrainer(**options).validate()


def test_learning(tmp_path):
    """The loss on one example falls."""
    example = draw_sky(np.random.default_rng(3), 64)
    skies = SimulatedSkies(64)
    skies.draw, skies.unseen = lambda _: example, lambda _: [example]
    torch.manual_seed(1)
    history = fit(UNetTask(UNet(**SMALL), skies), recipe(steps=30, every=10, rate=5e-2), tmp_path, "cpu")
    losses = [row["facts"]["loss"] for row in history.rows]
    assert losses[-1] < 0.8 * losses[0]


def test_ctrl_c_ends_a_real_training(tmp_path):
    words = ["train", "unet", "--output", "a", "--device", "cpu"]
    for pair in ("steps=4000", "every=1", "batch=1", "size=64", "workers=1", f"images={IMAGE}", f"truths={TRUTH}"):
        words += ["--set", pair]
    process = subprocess.Popen(
        [sys.executable, "-m", "astroseg", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "a" / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    *lines, last = err.splitlines()
    assert last == "astroseg: Interrupted. The same command without --fresh goes on from the last checkpoint."
    assert all(line.startswith("step ") for line in lines)
    assert not list((tmp_path / "a").glob(".*"))
    assert (tmp_path / "a" / "config.toml").exists()
