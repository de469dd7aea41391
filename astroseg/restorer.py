"""Restorers: image in, better image out (denoise, deconvolve, super-resolve)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from astroseg.errors import PluginError
from astroseg.options import Configurable

if TYPE_CHECKING:
    from astropy.nddata import CCDData

__all__ = ["Restorer"]


class Restorer(Configurable):
    """Base of all restorers: keyword-only options in the constructor, one method.

    Class attributes: ``name`` (as users type it), ``citation`` (what to cite), ``repeatable`` (False
    when two runs may differ), ``expected_failures`` (conformance checks known to fail, with the
    reason).
    """

    name: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    repeatable: ClassVar[bool] = True
    expected_failures: ClassVar[dict[str, str]] = {}

    def restore(self, image: Any, **prompts: Any) -> CCDData:
        """Restore an image.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        **prompts
            ``psf`` (2-D array or path), ``visibilities``: what belongs to the image.

        Returns
        -------
        `~astropy.nddata.CCDData`
            On the grid of the input and in its unit, with the beam after restoration in
            ``meta["beam"]``.
        """
        msg = f"The restorer '{self.name}' does not implement restore()."
        raise PluginError(msg)
