"""The restorer: a model of the sky that is improved a few times by what it leaves unexplained."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

from astroseg.dirty import DirtyImage
from astroseg_networks.dirty_units import AREA, STAGES
from astroseg_networks.network_restorer import STEPS, NetworkRestorer
from astroseg_networks.runtime import Runtime

__all__ = ["UnrolledRestorer"]

STRIDE = 8  # sides of what the network sees are multiples of it


class UnrolledRestorer(NetworkRestorer):
    """A network that improves a model of the sky by what the model leaves unexplained, a few times.

    What it leaves unexplained is computed with the point spread function of the image, so that any instrument will do.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    stages : int
        How often; the weights are trained for 3.
    steps : int
        In which the model is corrected towards what was measured; see `astroseg_networks.consistency.corrected`.
    residuals : bool
        Add what is left unexplained to the restored image, as CLEAN does.
    """

    name = "unrolled"
    citation = "Aghabiglou et al. 2024, arXiv:2403.05452 (R2D2: learned updates from residual maps)"

    def __init__(
        self,
        *,
        weights: str = "unrolled",
        device: str = "auto",
        stages: Annotated[int, Interval(ge=1, le=20)] = STAGES,
        steps: Annotated[int, Interval(ge=0, le=1000)] = STEPS,
        residuals: bool = False,
    ) -> None:
        self.weights = weights
        self.device = device
        self.stages = stages
        self.steps = steps
        self.residuals = residuals

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        from astroseg_networks.unrolled import Unrolled

        return Unrolled(**arguments)

    def model(self, network: Runtime, dirty: DirtyImage, scale: float) -> np.ndarray:
        """See `NetworkRestorer.model`."""
        ny, nx = dirty.data.shape
        model: np.ndarray = np.zeros((ny, nx), dtype=np.float32)
        border = [(0, -length % STRIDE) for length in (ny, nx)]
        for _ in range(self.stages):
            residual = dirty.residual(scale * model) / scale
            planes = np.stack([np.pad(plane, border) for plane in (residual, AREA * model, dirty.data / scale)])
            model = network(planes[np.newaxis])["model"][0, 0, :ny, :nx] / AREA
        return model
