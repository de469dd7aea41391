"""Either engine gives the network's maps, and torch is not needed for one of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astroseg_networks import runtime
from astroseg_networks.runtime import hash_weights, open_runtime
from astroseg_networks.weights import WeightsError, read_weights

from astroseg.errors import AstrosegError, UsageError

FIELD = Path(__file__).parents[3] / "catalogs" / "radio-sdc1.fits"

HIDE_TORCH = """
import sys
for name in ("torch", "onnx", "lightning"):
    sys.modules[name] = None
"""

WITHOUT_TORCH = f"""{HIDE_TORCH}
import numpy as np
from astroseg_networks.runtime import hash_weights, open_runtime
answer = open_runtime(sys.argv[1], "unet", "auto", None)(np.ones((1, 2, 32, 48), "f4"))
assert answer["vote"].shape == (1, 2, 32, 48)
for path, device in ((sys.argv[2], "auto"), (sys.argv[1], "cuda")):
    try:
        open_runtime(path, "unet", device, None)
    except Exception as error:
        print(type(error).__name__, error)
"""

FIND = f"""{HIDE_TORCH}
import astroseg
print(len(astroseg.find(sys.argv[1], sys.argv[2])))
"""

NOT_IMPORTED = """
import sys
import numpy as np
from astroseg_networks.runtime import hash_weights, open_runtime
open_runtime(sys.argv[1], "unet", "cpu", None)(np.ones((1, 2, 32, 48), "f4"))
print([name for name in ("torch", "onnx", "lightning") if name in sys.modules])
"""


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_runs_without_torch(files):
    lines = python(WITHOUT_TORCH, files.onnx, files.master).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("PluginError")
        assert "needs PyTorch, which is not installed. Install it: pip install" in line


@pytest.mark.parametrize("name", ["unet", "vae", "cae", "continunet"])
def test_finds_without_torch(name):
    assert int(python(FIND, FIELD, name)) > 50


def test_does_not_import_torch_on_a_cpu(files):
    assert python(NOT_IMPORTED, files.onnx).strip() == "[]"


def test_both_engines_agree(files, build, sky):
    batch = sky(2, 64, 96, seed=3)
    onnx, torch = (open_runtime(str(path), "unet", "cpu", build)(batch) for path in (files.onnx, files.master))
    for name, values in onnx.items():
        assert values.dtype == torch[name].dtype == np.float32
        assert values.shape == torch[name].shape
        assert abs(values - torch[name]).max() < 1e-4 * max(1, abs(values).max())


@pytest.mark.parametrize("kind", ["master", "onnx", "int8"])
def test_same_answer_twice(files, build, sky, kind):
    batch = sky(2, 64, 96, seed=3)
    first, second = (open_runtime(str(getattr(files, kind)), "unet", "cpu", build)(batch) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_says_what_it_runs(files, build, card):
    opened = open_runtime(str(files.onnx), "unet", "auto", build)
    assert opened.card == card
    assert opened.device == "cpu"
    assert hash_weights(str(files.onnx), "auto") == read_weights(files.onnx).sha256


def test_the_hash_is_that_of_the_file_that_is_used(files, monkeypatch):
    monkeypatch.setattr(runtime, "_has_gpu", lambda _: True)
    assert hash_weights(str(files.onnx), "cuda") == read_weights(files.master).sha256
    assert hash_weights(str(files.onnx), "cpu") == read_weights(files.onnx).sha256
    with pytest.raises(WeightsError, match="No such file"):
        hash_weights(str(files.folder / "none.onnx"), "cpu")


def test_input_may_be_of_any_layout(files, build, sky):
    opened = open_runtime(str(files.onnx), "unet", "cpu", build)
    batch = sky(1, 32, 48)
    turned = np.asfortranarray(batch.astype("f8"))
    assert np.array_equal(opened(batch)["centre"], opened(turned)["centre"])


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "CPU", ""])
def test_unknown_device(files, build, device):
    with pytest.raises(UsageError, match="Choose auto, cpu, cuda or cuda:N"):
        open_runtime(str(files.onnx), "unet", device, build)


def test_a_gpu_that_is_not_there(files, build, monkeypatch):
    monkeypatch.setattr(runtime, "_has_gpu", lambda _: False)
    with pytest.raises(AstrosegError, match=r"torch finds no GPU 'cuda:1'\. Use device=cpu"):
        open_runtime(str(files.onnx), "unet", "cuda:1", build)


def test_auto_takes_a_gpu_with_the_master_only(files, monkeypatch):
    monkeypatch.setattr(runtime, "_has_gpu", lambda _: True)
    monkeypatch.setattr(runtime, "_gpu_is_likely", lambda: True)
    assert runtime._device("auto", files.onnx) == runtime._device("auto", files.master) == "cuda"
    assert runtime._device("auto", files.int8) == runtime._device("auto", files.folder / "alone.onnx") == "cpu"
    with pytest.raises(WeightsError, match="run on a CPU only"):
        runtime._device("cuda", files.int8)


def test_torch_is_not_asked_without_a_driver(files, build, monkeypatch):
    monkeypatch.setattr(runtime, "_gpu_is_likely", lambda: False)
    monkeypatch.setattr(runtime, "_has_gpu", lambda _: pytest.fail("torch was asked"))
    assert open_runtime(str(files.onnx), "unet", "auto", build).device == "cpu"


@pytest.mark.parametrize("kind", ["master", "onnx"])
def test_other_maps_than_promised(files, build, sky, kind):
    path = str(getattr(files, kind))
    for maps in ({"halo": 1}, {"vote": 3}):
        opened = open_runtime(path, "unet", "cpu", build, maps=maps)
        with pytest.raises(WeightsError, match="they give no"):
            opened(sky(1, 32, 32))


def test_a_batch_that_the_model_does_not_take(files, build):
    with pytest.raises(WeightsError, match="the model fails on shape"):
        open_runtime(str(files.onnx), "unet", "cpu", build)(np.zeros((1, 3, 32, 32), "f4"))
