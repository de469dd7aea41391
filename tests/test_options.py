"""Options follow from the constructor and its docstring alone."""

from __future__ import annotations

import pickle
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval

from astroseg import UsageError
from astroseg.options import Configurable


class Sample(Configurable):
    """A sample.

    Parameters
    ----------
    level : float, in units of the noise
        How high, in
        two lines.
    mode : str
        Which way.
    count : int, pixels
        How many.
    share : float
        How much of it.
    cut : float or None
        Where to stop.
    fast : bool
        Whether to hurry.
    label : str or None
        What to call it.

    Notes
    -----
    nothing : float
        This is not an option.
    """

    name = "sample"

    def __init__(
        self,
        *,
        level: Annotated[float, Gt(0)] = 5.0,
        mode: Literal["up", "down", 8] = "up",
        count: Annotated[int, Ge(1)] = 3,
        share: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        cut: Annotated[float | None, Gt(0)] = None,
        fast: bool = False,
        label: str | None = None,
    ):
        self.level, self.mode, self.count, self.share = level, mode, count, share
        self.cut, self.fast, self.label = cut, fast, label


def test_units_and_meanings_come_from_the_docstring():
    options = Sample.options()
    assert list(options) == ["level", "mode", "count", "share", "cut", "fast", "label"]
    assert (options["level"].unit, options["level"].meaning) == ("in units of the noise", "How high, in two lines.")
    assert options["count"].unit == "pixels"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("level", "float > 0"),
        ("mode", "up|down|8"),
        ("share", "float >= 0 and <= 1"),
        ("cut", "float or none > 0"),
        ("fast", "bool"),
    ],
)
def test_types_are_said_in_words(key, kind):
    assert Sample.options()[key].kind == kind


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("level", "4", 4.0),
        ("level", "1e-3", 1e-3),
        ("mode", "down", "down"),
        ("mode", "8", 8),
        ("count", "7", 7),
        ("cut", "none", None),
        ("cut", "2.5", 2.5),
        ("fast", "yes", True),
        ("fast", "FALSE", False),
        ("label", "none", None),
        ("label", "M 31", "M 31"),
        ("share", "1", 1.0),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(key, text, value):
    made = Sample.from_text({key: text})
    assert getattr(made, key) == value
    assert type(getattr(made, key)) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("level", "0"),
        ("level", "-1"),
        ("level", "nan"),
        ("level", "inf"),
        ("level", "high"),
        ("mode", "left"),
        ("count", "2.5"),
        ("count", "0"),
        ("share", "1.1"),
        ("cut", "0"),
        ("fast", "maybe"),
        ("level", "__import__('os')"),
    ],
)
def test_wrong_text_is_refused_with_what_is_accepted(key, text):
    with pytest.raises(UsageError, match=f"option {key} takes"):
        Sample.from_text({key: text})


@pytest.mark.parametrize("options", [{"level": "5"}, {"count": 2.0}, {"fast": 1}, {"mode": None}, {"level": True}])
def test_wrong_values_are_refused_from_python_too(options):
    with pytest.raises(UsageError):
        Sample(**options).validate()


def test_scalars_of_numpy_are_taken_as_plain_values():
    made = Sample(level=np.float32(5), count=np.int64(7), fast=np.True_, label=np.str_("x"), cut=np.float64(2))
    expected = {"level": 5.0, "count": 7, "fast": True, "label": "x", "cut": 2.0}
    plain = made.get_params()
    made.validate()
    for values in (plain, vars(made)):
        assert {key: values[key] for key in expected} == expected
        assert [type(values[key]) for key in expected] == [float, int, bool, str, float]
    assert repr(made) == "Sample(count=7, cut=2.0, fast=True, label='x')"


@pytest.mark.parametrize(
    "options", [{"level": np.float32("nan")}, {"count": np.float64(2)}, {"count": np.int64(0)}, {"level": np.True_}]
)
def test_wrong_scalars_of_numpy_are_refused(options):
    with pytest.raises(UsageError, match="takes"):
        Sample(**options).validate()


def test_unknown_options_name_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'level'"):
        Sample.from_text({"levle": "1"})


def test_repr_shows_what_differs_and_pickles():
    made = Sample(level=4.0, label="x")
    assert repr(made) == "Sample(level=4.0, label='x')"
    assert pickle.loads(pickle.dumps(made)).get_params() == made.get_params()  # noqa: S301 - our own bytes
