"""The kit must be able to fail: for each check, a restorer that is broken in just that way."""

from itertools import count

import numpy as np
import pytest

from astroseg import Restorer, read_image
from astroseg.testing import CHECKS, RESTORER_CHECKS, parametrize_restorers, run_checks

RUNS = count()


def failures(restorer):
    return {result.name for result in run_checks(restorer) if result.status == "failed"}


class GoodRestorer(Restorer):
    """Returns a copy of the image."""

    name = "copy"

    def restore(self, image, **prompts):
        image = read_image(image)
        restored = image.copy()
        restored.meta = dict(image.meta)
        return self.change(restored)

    def change(self, image):
        return image


class Grid(GoodRestorer):
    def change(self, image):
        image.wcs.wcs.crval += 1e-4
        return image


class UnitAndBeam(GoodRestorer):
    def change(self, image):
        del image.meta["name"]
        return image


class Flux(GoodRestorer):
    def change(self, image):
        image.data = image.data * np.float32(1.2)
        return image


class Position(GoodRestorer):
    def change(self, image):
        image.data = np.roll(image.data, 1, axis=1) if image.mask is None else image.data
        return image


class RestoresBlankPixels(GoodRestorer):
    def change(self, image):
        if image.mask is not None and not image.mask.all():
            image.data, image.mask = np.nan_to_num(image.data), None
        return image


class RestoresBlankImage(GoodRestorer):
    def change(self, image):
        if image.mask is not None and image.mask.all():
            raise ZeroDivisionError
        return image


class ChangesInput(GoodRestorer):
    def restore(self, image, **prompts):
        image.data[0, 0] = 0
        return super().restore(image)


class RestoresByteOrder(GoodRestorer):
    def change(self, image):
        image.data = image.data if image.data.dtype.isnative else image.data * 2
        return image


class RestoresRandomly(GoodRestorer):
    def change(self, image):
        image.data = image.data * (1 + 0.01 * (next(RUNS) % 2))  # no two runs in a row are the same
        return image


class RestoresOnce(GoodRestorer):
    def change(self, image):
        self.session = lambda: None
        return image


class DirtyFlux(GoodRestorer):
    def change(self, image):
        if image.psf is not None and image.psf.min() < -0.01:
            image.data = image.data * 1.5
        return image


class DirtyPosition(GoodRestorer):
    def change(self, image):
        if image.psf is not None and image.psf.min() < -0.01:
            image.data = np.roll(image.data, 1, axis=1)
        return image


class Units(GoodRestorer):
    def change(self, image):
        image.data = np.where(image.data > 1, (image.data + 1) / 2, image.data)
        return image


@parametrize_restorers(GoodRestorer())
def test_good_restorer_passes(restorer, check):
    check(restorer)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Grid, {"grid"}),
        (UnitAndBeam, {"unit_and_beam"}),
        (Flux, {"flux", "dirty_flux"}),
        (Position, {"position", "dirty_position"}),
        (DirtyFlux, {"dirty_flux"}),
        (DirtyPosition, {"dirty_position"}),
        (Units, {"units"}),
        (RestoresBlankPixels, {"blank_pixels"}),
        (RestoresBlankImage, {"blank_image"}),
        (ChangesInput, {"input_untouched"}),
        (RestoresByteOrder, {"byte_order"}),
        (RestoresRandomly, {"repeatable", "byte_order", "units"}),
        (RestoresOnce, {"pickle"}),
    ],
)
def test_one_defect_fails_one_check(cls, expected):
    assert failures(cls()) == expected


class RestoresNothing(GoodRestorer):
    def restore(self, image, **prompts):
        self.validate()


def test_restorer_that_returns_none_is_told_so():
    bad = [result.message for result in run_checks(RestoresNothing()) if not result.ok]
    assert bad
    assert all("restore() returned a NoneType, not CCDData" in message for message in bad)


def test_restorers_share_the_checks_of_options():
    assert {"repr", "wrong_values", "constructor_only_stores"} <= set(CHECKS) & set(RESTORER_CHECKS)
