"""Small networks with the files that are made of them."""

from types import SimpleNamespace

import numpy as np
import pytest

EXTRA = "needs the extra train"
WIDTHS, DEPTHS = (8, 8, 12, 16), (1, 1, 1, 2)


@pytest.fixture(scope="session")
def card():
    return {
        "architecture": {"name": "unet", "widths": list(WIDTHS), "depths": list(DEPTHS)},
        "normalisation": "asinh of significance",
        "calibration": {"score": [-1.0, 2.0], "logit": [-3.0, 3.0], "rarity": [5.0, 20.0]},
        "data": "none",
        "seed": 0,
        "command": "none",
        "scores": {},
        "licence": "BSD-3-Clause",
    }


@pytest.fixture(scope="session")
def network():
    """A network that has seen nothing, with statistics of batch norm as one that has."""
    torch = pytest.importorskip("torch", reason=EXTRA)
    from astroseg_networks.unet import UNet

    generator = torch.Generator().manual_seed(0)
    made = UNet(WIDTHS, DEPTHS).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return made


@pytest.fixture(scope="session")
def build():
    from astroseg_networks.unet import UNet

    return lambda arguments: UNet(**arguments)


@pytest.fixture(scope="session")
def sky():
    """Batches of noise with a few bright pixels, in the network's units."""

    def draw(n, ny, nx, seed=0):
        rng = np.random.default_rng(seed)
        image = rng.normal(size=(n, 2, ny, nx)) + 30 * (rng.uniform(size=(n, 2, ny, nx)) > 0.99)
        return np.arcsinh(image, dtype=np.float32, casting="same_kind")

    return draw


@pytest.fixture(scope="session")
def files(network, card, build, sky, tmp_path_factory):
    """The master and what is made of it."""
    pytest.importorskip("onnxscript", reason=EXTRA)
    from astroseg_networks.export import export_int8, export_onnx, save_master

    folder = tmp_path_factory.mktemp("weights")
    master = save_master(network, card, folder / "small.safetensors")
    onnx = export_onnx(master, build, sky(2, 48, 64))
    int8 = export_int8(onnx, [sky(1, 128, 128, seed) for seed in range(4)])
    return SimpleNamespace(folder=folder, master=master, onnx=onnx, int8=int8)
