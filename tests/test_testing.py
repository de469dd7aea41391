"""The kit must be able to fail: for each check, a finder that is broken in just that way."""

import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from astroseg import NoDetectionsWarning, PixelFinder
from astroseg.labels import compact
from astroseg.testing import CHECKS, parametrize_finders, run_checks


class Good(PixelFinder):
    """Pixels above a threshold.

    Parameters
    ----------
    threshold : float, in units of the noise
        A source is above it.
    """

    name = "good"
    is_probability = False
    min_pixels = 3

    def __init__(self, *, threshold: float = 4.0) -> None:
        self.threshold = threshold

    def predict(self, batch, **prepared):
        return (batch > self.threshold).astype("f4")


class Name(Good):
    name = "Not A Name"


class ConstructorOnlyStores(Good):
    def __init__(self, *, threshold: float = 4.0) -> None:
        self.threshold = threshold
        self.twice = (threshold, threshold)


class OptionsDocumented(Good):
    def __init__(self, *, threshold: float = 4.0, mystery: int = 1) -> None:
        self.threshold = threshold
        self.mystery = mystery


class UnknownOption(Good):
    @classmethod
    def option(cls, key):
        return cls.options().get(key)


class WrongValues(Good):
    def validate(self):
        pass


class Repr(Good):
    def __repr__(self):
        return "<a finder>"


class OptionsFromText(Good):
    """Broken.

    Parameters
    ----------
    note : str
        A text that reads as None.
    """

    def __init__(self, *, threshold: float = 4.0, note: str | None = "none") -> None:
        self.threshold = threshold
        self.note = note


class Labels(Good):
    def label(self, maps, image):
        labels = super().label(maps, image)
        return np.where(labels > 0, labels.max() + 1 - labels, 0).astype(np.int32)


class OneRowPerLabel(Good):
    def measure(self, maps, labels, image):
        catalog = super().measure(maps, labels, image)
        catalog["n_pixels"] = np.ones(len(catalog), dtype="i4")
        return catalog


class Columns(Good):
    def measure(self, maps, labels, image):
        catalog = super().measure(maps, labels, image)
        if len(catalog):
            catalog["colour"] = 1.0
        return catalog


class Probability(Good):
    is_probability = True

    def predict(self, batch, **prepared):
        return 2 * super().predict(batch)


class BrightSource(Good):
    def measure(self, maps, labels, image):
        catalog = super().measure(maps, labels, image)
        catalog["flux"] *= 1.2
        return catalog


class ConstantImage(Good):
    def predict(self, batch, **prepared):
        return super().predict(batch) if batch.any() else np.ones_like(batch)


class BlankImage(Good):
    def prepare(self, image):
        if image.mask is not None and image.mask.all():
            raise ZeroDivisionError
        return {}


class BlankPixels(Good):
    def label(self, maps, image):
        labels = super().label(maps, image)
        if image.mask is not None and labels.any():
            labels[image.mask] = labels.max() + 1
        return compact(labels)


class BlankBlock(Good):
    def label(self, maps, image):
        labels = super().label(maps, image)
        return labels if image.mask is None else np.zeros_like(labels)


class Provenance(Good):
    def noted(self, *args):
        found = super().noted(*args)
        del found.catalog.meta["image_sha256"]
        return found


class UnknownPrompt(Good):
    def check_prompts(self, prompts):
        pass


class Files(Good):
    def noted(self, *args):
        found = super().noted(*args)
        found.catalog.meta["note"] = {1, 2}
        return found


class Random(Good):
    def measure(self, maps, labels, image):
        catalog = super().measure(maps, labels, image)
        catalog["good_luck"] = np.random.default_rng().random(len(catalog))
        return catalog


class Pickle(Good):
    def prepare(self, image):
        self.session = lambda: None
        return {}


class ByteOrder(Good):
    def label(self, maps, image):
        return super().label(maps, image) * np.int32(image.data.dtype.isnative)


class IntegersAndDoubles(Good):
    def label(self, maps, image):
        return super().label(maps, image) * np.int32(image.data.dtype.kind == "f")


class InputUntouched(Good):
    def prepare(self, image):
        if image.mask is not None:
            image.data[image.mask] = 0
        return {}


class ReadOnlyMemmap(Good):
    def prepare(self, image):
        image.data[0, 0] += 0
        return {}


class UnitPrefix(Good):
    def label(self, maps, image):
        return super().label(maps, image) * np.int32(image.unit != "uJy/beam")


class DegenerateAxes(Good):
    def label(self, maps, image):
        return super().label(maps, image) * np.int32(image.meta["header"]["NAXIS"] == 2)


class Tiles(Good):
    def predict(self, batch, **prepared):
        return super().predict(batch - batch.mean())


class RotatedImage(Good):
    def label(self, maps, image):
        maps["probability"][image.shape[0] // 2 :] = 0
        return super().label(maps, image)


class MirroredImage(Good):
    def label(self, maps, image):
        return super().label(maps, image) * np.int32(image.wcs.wcs.cdelt[0] < 0)


class RaWrap(Good):
    def measure(self, maps, labels, image):
        catalog = super().measure(maps, labels, image)
        catalog["ra"] -= 360 * catalog["ra"].unit * (catalog["ra"].value > 180)
        return catalog


BROKEN = [
    Name, ConstructorOnlyStores, OptionsDocumented, UnknownOption, WrongValues, Repr, OptionsFromText, Labels,
    OneRowPerLabel, Columns, Probability, BrightSource, ConstantImage, BlankImage, BlankPixels, BlankBlock, Provenance,
    UnknownPrompt, Files, Pickle, ByteOrder, IntegersAndDoubles, InputUntouched, ReadOnlyMemmap, UnitPrefix,
    DegenerateAxes, Tiles, RotatedImage, MirroredImage, RaWrap,
]  # fmt: skip


def failures(backend):
    return {result.name for result in run_checks(backend) if result.status == "failed"}


def snake_case(cls):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in cls.__name__).lstrip("_")


@parametrize_finders(Good(), Good(threshold=6.0))
def test_good_finder_passes(finder, check):
    check(finder)


@pytest.mark.parametrize("cls", BROKEN)
def test_one_defect_fails_one_check(cls):
    assert failures(cls()) == {snake_case(cls)}


def test_every_check_has_a_finder_that_fails_it():
    assert {snake_case(cls) for cls in BROKEN} | {"repeatable"} == set(CHECKS)


def test_random_finder_fails_every_exact_comparison():
    assert failures(Random()) == {"repeatable", "pickle", "byte_order", "degenerate_axes"}


def test_declared_random_finder_is_excused():
    class Declared(Random):
        repeatable = False

    results = {result.name: result for result in run_checks(Declared())}
    assert results["repeatable"].status == "not applicable"
    assert "repeatable = False" in results["repeatable"].message


class Nothing(Good):
    def find(self, image, *, tile_size=None, executor=None, **prompts):
        self.validate()
        self.check_prompts(prompts)


def test_finder_that_returns_none_is_told_so():
    bad = [result.message for result in run_checks(Nothing()) if not result.ok]
    assert len(bad) > 10
    assert all("find() returned a NoneType, not Detections" in message for message in bad)


class Known(BrightSource):
    expected_failures: ClassVar = {"bright_source": "its fluxes are 20 % too large"}


class Mended(Good):
    expected_failures: ClassVar = {"bright_source": "no longer true"}


class Misspelt(Good):
    expected_failures: ClassVar = {"bright_sauce": "no such check"}


def test_expected_failure_is_reported_with_its_reason():
    result = next(result for result in run_checks(Known()) if result.name == "bright_source")
    assert (result.status, result.message) == ("expected failure", "its fluxes are 20 % too large")
    assert result.ok


@pytest.mark.parametrize(("finder", "message"), [(Mended(), "remove it"), (Misspelt(), "no such check")])
def test_expected_failure_that_is_none_fails(finder, message):
    bad = [result for result in run_checks(finder) if not result.ok]
    assert len(bad) == 1
    assert message in bad[0].message


@parametrize_finders(Known())
def test_expected_failure_is_a_strict_xfail(finder, check):
    check(finder)


def test_misspelt_expectation_is_refused_by_pytest():
    with pytest.raises(ValueError, match="bright_sauce"):
        parametrize_finders(Misspelt())


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
from astroseg.testing import run_checks
from astroseg.threshold import SigmaFinder
sys.exit([str(result) for result in run_checks(SigmaFinder()) if not result.ok] or 0)
"""


def test_kit_needs_no_pytest():
    subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], check=True)


def test_kit_refuses_python_without_assertions():
    result = subprocess.run([sys.executable, "-O", "-c", WITHOUT_PYTEST], check=False, capture_output=True, text=True)
    assert "without -O" in result.stderr


def test_nothing_found_does_not_warn_in_checks(recwarn):
    run_checks(Good())
    assert not [warning for warning in recwarn if issubclass(warning.category, NoDetectionsWarning)]
