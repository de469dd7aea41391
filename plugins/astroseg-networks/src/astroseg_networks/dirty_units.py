"""What training and use of the networks that restore must agree on."""

from __future__ import annotations

__all__ = ["AREA", "STAGES"]

AREA = 20.0  # pixels: in the networks, models are in flux per so many pixels, which makes them as large as maps
STAGES = 3  # times that the unrolled network is run
