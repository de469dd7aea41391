"""Trainers, and ``astroseg train``: options from a file and the command line, interruption and going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
import types
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Gt

from astroseg import PluginError, Trainer, UsageError, get_trainer, hookimpl, plugins
from astroseg.cli import main
from astroseg.trainer import CONFIG, prepare_folder, read_config


class CountTrainer(Trainer):
    """Counts.

    Parameters
    ----------
    steps : int
        How far.
    rate : float, counts per second
        How fast.
    fail_at : int
        Where Ctrl-C comes.
    """

    name = "count"

    def __init__(
        self,
        *,
        steps: Annotated[int, Gt(0)] = 5,
        rate: float = 1e-3,
        fail_at: int | None = None,
        truths: str | None = None,
        mode: Literal["up", "down"] = "up",
        device: str = "auto",
    ) -> None:
        self.steps, self.rate, self.fail_at = steps, rate, fail_at
        self.truths, self.mode, self.device = truths, mode, device

    def train(self, folder, *, quiet=False):
        last = folder / self.checkpoint
        first = int(last.read_text()) if last.exists() else 0
        for step in range(first, self.steps):
            last.write_text(str(step))
            if step == self.fail_at and first < step:
                raise KeyboardInterrupt
        result = folder / "count.txt"
        result.write_text(f"{first} to {self.steps}")
        return [result]


class WaitTrainer(CountTrainer):
    """Waits for Ctrl-C."""

    name = "wait"

    def train(self, folder, *, quiet=False):
        (folder / "waiting").touch()
        time.sleep(60)


class NoTrainer:
    """Not a trainer at all."""


@pytest.fixture(autouse=True)
def strangers(monkeypatch, tmp_path):
    """A plugin with trainers, installed beside the core."""
    own = [point for point in metadata.entry_points(group="astroseg") if point.name == "builtin"]
    module = types.ModuleType("strangers")
    module.__spec__ = __spec__
    for cls in (CountTrainer, WaitTrainer, NoTrainer):
        setattr(module, cls.__name__, cls)

    @hookimpl
    def register_trainers(register):
        for name in ("Count", "Wait", "No"):
            register(name.lower(), f"strangers:{name}Trainer", f"The {name} trainer")
        register("unet", "strangers_without_torch:UNetTrainer", "Needs an extra")

    module.register_trainers = register_trainers
    dist = types.SimpleNamespace(name="strange", version="1")
    point = types.SimpleNamespace(name="strangers", value="strangers", dist=dist, load=lambda: module)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "strangers_without_torch.py").write_text("import torch_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setitem(sys.modules, "strangers", module)
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [*own, point])
    plugins._registry.cache_clear()
    yield
    monkeypatch.undo()
    plugins._registry.cache_clear()


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run ``astroseg train WORDS`` in a temporary folder; return status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main(["train", *words])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


def test_trains_and_says_where_the_weights_are(run, tmp_path):
    assert run("count") == (0, "count.training/count.txt\n", "")
    assert (tmp_path / "count.training" / "count.txt").read_text() == "0 to 5"
    assert run("count", "--quiet", "--output", "a/b") == (0, "", "")
    assert (tmp_path / "a/b/count.txt").exists()


def test_the_command_line_wins_over_the_file_and_the_folder_remembers_both(run, tmp_path):
    (tmp_path / "c.toml").write_text('steps = 7\nrate = 1\nfail_at = "none"\ntruths = ["a.reg", "b \\"é.reg"]\n')
    assert run("count", "--config", "c.toml", "--set", "steps=9", "--device", "cpu")[0] == 0
    kept = tomllib.loads((tmp_path / "count.training" / CONFIG).read_text(encoding="utf-8"))
    expected = {"steps": 9, "rate": 1.0, "fail_at": "none", "truths": 'a.reg,b "é.reg', "mode": "up", "device": "cpu"}
    assert kept == expected
    again = read_config(tmp_path / "count.training" / CONFIG, CountTrainer)
    assert again == {**expected, "fail_at": None}
    assert run("count", "--config", f"count.training/{CONFIG}")[0] == 0


@pytest.mark.parametrize(
    ("text", "status", "fragment"),
    [("stepps = 3", 2, "Did you mean 'steps'"), ("steps = 0", 2, "steps takes int > 0, not 0"),
     ("steps = 1.5", 2, "steps takes int > 0"), ("steps = true", 2, "steps takes int"),
     ('mode = "sideways"', 2, "up|down"), ("[steps]\na = 1", 2, "steps takes int"), ("steps =", 1, "as TOML"),
     ("rate = nan", 2, "rate takes float")],
)  # fmt: skip
def test_what_a_file_may_not_say(run, tmp_path, text, status, fragment):
    (tmp_path / "c.toml").write_text(text)
    code, out, err = run("count", "--config", "c.toml")
    assert (code, out, len(err.splitlines())) == (status, "", 1)
    assert fragment in err
    assert not (tmp_path / "count.training").exists()


@pytest.mark.parametrize(
    ("words", "status", "fragment"),
    [(("cuont",), 2, "Did you mean 'count'"), (("count", "--set", "steps"), 2, "key=value"),
     (("count", "--set", "stps=3"), 2, "Did you mean 'steps'"), (("count", "--set", "steps=0"), 2, "int > 0"),
     (("count", "--config", "no.toml"), 1, "Cannot read no.toml"), (("no",), 1, "not a Trainer"),
     (("cae",), 2, "pip install -c constraints.txt './plugins/astroseg-networks[train]'"),
     (("unet",), 1, "pip install -c constraints.txt './plugins/astroseg-networks[train]'")],
)  # fmt: skip
def test_wrong_usage_is_one_line(run, words, status, fragment):
    code, out, err = run(*words)
    assert (code, out, len(err.splitlines())) == (status, "", 1)
    assert fragment in err


def test_an_interrupted_training_goes_on_by_the_same_command(run, tmp_path):
    words = ("count", "--set", "fail_at=3", "-o", "a")
    status, out, err = run(*words)
    assert (status, out) == (130, "")
    assert err == "astroseg: Interrupted. The same command without --fresh goes on from the last checkpoint.\n"
    assert run(*words)[0] == 0
    assert (tmp_path / "a" / "count.txt").read_text() == "3 to 5"


def test_other_options_are_refused_where_a_training_is_under_way(run, tmp_path):
    assert run("count", "--set", "fail_at=3", "-o", "a")[0] == 130
    status, _, err = run("count", "--set", "fail_at=3", "--set", "steps=8", "-o", "a")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "steps was 5, now 8" in err
    assert "--fresh" in err
    assert run("count", "--set", "fail_at=3", "--device", "cpu", "-o", "a")[0] == 0
    assert (tmp_path / "a" / "count.txt").read_text() == "3 to 5"
    assert run("count", "--set", "steps=8", "-o", "a", "--fresh")[0] == 0
    assert (tmp_path / "a" / "count.txt").read_text() == "0 to 8"


def test_a_folder_without_a_checkpoint_takes_other_options(tmp_path):
    prepare_folder(CountTrainer(steps=3), tmp_path)
    prepare_folder(CountTrainer(steps=4), tmp_path)
    assert read_config(tmp_path / CONFIG, CountTrainer)["steps"] == 4


def test_a_refused_training_leaves_nothing_and_forgets_nothing(tmp_path):
    (tmp_path / CountTrainer.checkpoint).write_text("3")
    with pytest.raises(UsageError, match="int > 0"):
        prepare_folder(CountTrainer(steps=0), tmp_path, fresh=True)
    assert [path.name for path in tmp_path.iterdir() if path.name != "site"] == [CountTrainer.checkpoint]


def test_a_file_in_the_way_of_the_folder(run, tmp_path):
    (tmp_path / "a").write_text("")
    status, _, err = run("count", "-o", "a")
    assert status == 1
    assert "a is not a folder" in err


def test_options_are_listed(run, tmp_path):
    status, out, _ = run("count", "--options")
    assert status == 0
    assert "count: Counts." in out
    assert "rate = 0.001  (float, counts per second)" in out
    assert "astroseg train count --set steps=VALUE" in out
    assert not (tmp_path / "count.training").exists()


def test_backends_lists_trainers(capsys):
    with pytest.raises(SystemExit):
        main(["backends"])
    assert "The Count trainer" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["backends", "count"])
    assert "astroseg train count" in capsys.readouterr().out


def test_backends_says_that_a_finder_can_be_trained(capsys, monkeypatch):
    monkeypatch.setattr(CountTrainer, "name", "sigma")
    registered = [*plugins.registrations("finder"), replace(plugins.registrations("trainer")[0], name="sigma")]
    monkeypatch.setattr("astroseg.cli.backends.registrations", lambda: registered)
    with pytest.raises(SystemExit):
        main(["backends", "sigma"])
    out = capsys.readouterr().out
    assert "astroseg find image.fits --backend sigma" in out
    assert "astroseg train sigma --options" in out


def test_python():
    assert repr(get_trainer("count", steps=3)) == "CountTrainer(steps=3)"
    with pytest.raises(UsageError, match="steps takes int > 0"):
        get_trainer("count", steps=0)
    with pytest.raises(PluginError, match="does not implement train"):
        Trainer().train(Path())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_real_process(tmp_path, kind):
    """What the fixture does, in a process of its own."""
    code = (
        # Jobs in the background of a shell start with Ctrl-C ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_train, types, astroseg.cli, astroseg.plugins\n"
        "astroseg.plugins.load_class = lambda *_: test_train.WaitTrainer\n"
        "astroseg.cli.main(['train', 'wait', '-o', 'a'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "a" / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(kind)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "astroseg: Interrupted. The same command without --fresh goes on from the last checkpoint.\n"
