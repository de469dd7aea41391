"""One way to run a network, on two engines: ONNX Runtime on a CPU, torch on a GPU.

torch is imported where it computes and nowhere else: it takes two seconds and may not be installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astroseg.errors import AstrosegError, PluginError, UsageError
from astroseg_networks.weights import (
    Weights,
    WeightsError,
    find_weights,
    hash_file,
    master_of,
    read_tensors,
    read_weights,
)

__all__ = ["Runtime", "hash_weights", "load_network", "open_runtime"]

Maps = dict[str, np.ndarray]
Build = Callable[[dict[str, Any]], Any]

_INSTALL_TORCH = "Install it: pip install -c constraints.txt './plugins/astroseg-networks[torch]'"


class Runtime:
    """A network, ready to run.

    Attributes
    ----------
    card : dict
        The model card.
    device : str
        Where it runs: "cpu", "cuda" or "cuda:N".
    """

    def __init__(
        self, weights: Weights, device: str, run: Callable[[np.ndarray], Maps], maps: Mapping[str, int]
    ) -> None:
        self.card = weights.card
        self.device = device
        self._path, self._run, self._maps = weights.path, run, maps

    def __call__(self, batch: np.ndarray) -> Maps:
        """Run the network.

        Parameters
        ----------
        batch : `~numpy.ndarray` of float32, shape (n, channels, ny, nx)

        Returns
        -------
        dict of `~numpy.ndarray` of float32
            The network's maps, shape (n, channels, ...), by name.

        Raises
        ------
        WeightsError
            The network does not take this batch, or returns other maps than promised.
        """
        answer = self._run(np.ascontiguousarray(batch, dtype=np.float32))
        for name, channels in self._maps.items():
            if name not in answer or answer[name].ndim != 4 or answer[name].shape[:2] != (len(batch), channels):
                msg = f"Cannot use the weights {self._path}: they give no {name!r} of {channels} channels."
                raise WeightsError(msg)
        return answer


def open_runtime(
    weights: str,
    architecture: str,
    device: str,
    build: Build,
    *,
    maps: Mapping[str, int] | None = None,
    curves: Sequence[str] = (),
    full_precision: bool = False,
) -> Runtime:
    """Make a network ready to run.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or the path of an ``.onnx`` or ``.safetensors`` file.
    architecture : str
        Name of the network that the caller knows how to use.
    device : str
        "cpu", "cuda", "cuda:N", or "auto": a GPU where torch finds one, and otherwise the CPU.
    build : callable
        Makes the torch module of the architecture from the arguments in the model card: integers, and tuples of them.
    maps : mapping of str to int, optional
        Maps that the caller will ask for, and the channels of each. Others are not looked at.
    curves : sequence of str
        Lists of equal length that the caller wants in the card's calibration.
    full_precision : bool
        Compute in float32 on a GPU, too, and not in bfloat16.

    Returns
    -------
    Runtime

    Raises
    ------
    WeightsError
        There are no such weights, or they cannot be used; see `astroseg_networks.weights.read_weights`.
    PluginError
        torch is needed and not installed.
    AstrosegError
        There is no such GPU.
    UsageError
        ``device`` is none of the above.

    Notes
    -----
    ``.safetensors`` runs on torch everywhere. On a GPU, ``NAME.onnx`` stands for the ``NAME.safetensors`` beside it,
    from which it was made; ``NAME.int8.onnx`` runs on the CPU only.
    """
    path, device = _chosen(weights, device)
    held = read_weights(path)
    if held.architecture != architecture:
        msg = f"Cannot use the weights {path}: they are of {held.architecture!r}, not of {architecture!r}."
        raise WeightsError(msg)
    absent = [name for name in curves if not isinstance(held.card["calibration"].get(name), list)]
    if absent:
        msg = f"Cannot use the weights {path}: the calibration in their card has no list {absent[0]!r}."
        raise WeightsError(msg)
    run = _onnx(held) if path.suffix == ".onnx" else _torch(held, device, build, full_precision=full_precision)
    return Runtime(held, device, run, maps or {})


def hash_weights(weights: str, device: str) -> str:
    """SHA-256 of the file that `open_runtime` uses, which is not looked into.

    Parameters
    ----------
    weights, device : str
        As in `open_runtime`.
    """
    return hash_file(_chosen(weights, device)[0])


def _chosen(weights: str, device: str) -> tuple[Path, str]:
    """The file, and where it runs."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device):
        msg = f"No device {device!r}. Choose auto, cpu, cuda or cuda:N."
        raise UsageError(msg)
    path = find_weights(weights)
    device = _device(device, path)
    return (master_of(path) if device != "cpu" and path.suffix == ".onnx" else path), device


def _device(device: str, path: Path) -> str:
    """Where to run, "auto" decided."""
    if device == "cpu":
        return "cpu"
    runs_there = path.suffix == ".safetensors" or (not path.name.endswith(".int8.onnx") and master_of(path).is_file())
    if device == "auto":
        return "cuda" if runs_there and _gpu_is_likely() and _has_gpu("cuda") else "cpu"
    if not runs_there:
        msg = f"The weights {path} run on a CPU only. A GPU takes the .safetensors that they were made from."
        raise WeightsError(msg)
    if not _torch_is_installed():
        msg = f"A GPU needs PyTorch, which is not installed. {_INSTALL_TORCH}"
        raise PluginError(msg)
    if not _has_gpu(device):
        msg = f"torch finds no GPU {device!r}. Use device=cpu, or a PyTorch that was built for CUDA."
        raise AstrosegError(msg)
    return device


def _torch_is_installed() -> bool:
    return importlib.util.find_spec("torch") is not None


def _gpu_is_likely() -> bool:
    """Whether it is worth two seconds to ask torch: there is a sign of NVIDIA's driver."""
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    return driver and _torch_is_installed()


def _has_gpu(device: str) -> bool:
    import torch

    return torch.cuda.is_available() and (torch.device(device).index or 0) < torch.cuda.device_count()


def _onnx(weights: Weights) -> Callable[[np.ndarray], Maps]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # What a process that shares its machine with others may take; 0 is all of it.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.log_severity_level = 4  # what goes wrong is raised, too
    # Threads that wait busily take the cores from what runs between two patches, and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The content was inspected as ONNX, and is not to be taken for ONNX Runtime's own format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(weights.content, options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
    except Exception:  # noqa: BLE001 -- it raises its own kinds, which are not public
        msg = f"Cannot use the weights {weights.path}: ONNX Runtime refuses the model."
        raise WeightsError(msg) from None
    names = [output.name for output in session.get_outputs()]

    def run(batch: np.ndarray) -> Maps:
        try:
            return dict(zip(names, session.run(names, {source.name: batch}), strict=True))
        except Exception:  # noqa: BLE001 -- as above
            shape = batch.shape
            msg = f"Cannot use the weights {weights.path}: the model fails on shape {shape}."
            raise WeightsError(msg) from None

    return run


def _torch(weights: Weights, device: str, build: Build, *, full_precision: bool) -> Callable[[np.ndarray], Maps]:
    if not _torch_is_installed():
        msg = f"{weights.path} needs PyTorch, which is not installed. {_INSTALL_TORCH}, or use the .onnx."
        raise PluginError(msg)
    import torch

    network = load_network(weights, build).to(device, memory_format=torch.channels_last)
    reduced = device != "cpu" and not full_precision

    @torch.inference_mode()
    def run(batch: np.ndarray) -> Maps:
        image = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with exact, torch.autocast("cuda", torch.bfloat16, enabled=reduced):
            answer = network(image)
        return {name: values.float().contiguous().cpu().numpy() for name, values in answer.items()}

    return run


def load_network(weights: Weights, build: Build) -> Any:
    """Make the torch module of a master.

    Parameters
    ----------
    weights : Weights
        Of a safetensors file.
    build : callable
        As in `open_runtime`.

    Returns
    -------
    `torch.nn.Module`
        In float32, ready for inference.

    Raises
    ------
    WeightsError
        The tensors are not those of the architecture.
    """
    import torch

    tensors = read_tensors(weights)
    try:
        with torch.device("meta"):  # takes no memory, whatever the card asks for
            network = build(weights.arguments)
    except (TypeError, ValueError):
        msg = f"Cannot use the weights {weights.path}: its card has wrong arguments."
        raise WeightsError(msg) from None
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    wanted, found = ({name: _description(t) for name, t in some.items()} for some in (network.state_dict(), state))
    wrong = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if wrong:
        expected, there = (some.get(wrong[0], "nothing") for some in (wanted, found))
        what = f"{wrong[0]!r} is {there}, where {weights.architecture!r} has {expected}"
        msg = f"Cannot use the weights {weights.path}: {what}."
        raise WeightsError(msg)
    network.load_state_dict(state, assign=True)
    return network.eval()


def _description(tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
