"""The lists of checks, and two ways to run them: ``run_checks`` and pytest."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from astroseg.errors import UsageError
from astroseg.finder import SourceFinder
from astroseg.testing import finder_checks, option_checks, restorer_checks
from astroseg.testing.compare import Backend

if TYPE_CHECKING:
    import pytest

    from astroseg.restorer import Restorer

__all__ = ["CHECKS", "RESTORER_CHECKS", "CheckResult", "parametrize_finders", "parametrize_restorers", "run_checks"]

Check = Callable[[Any], None]


def _checks(*modules: ModuleType) -> dict[str, Check]:
    """The functions ``check_...`` that modules define, by the rest of their names."""
    return {
        name.removeprefix("check_"): function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_")
    }


#: Name -> check of finders.
CHECKS: dict[str, Check] = _checks(option_checks, finder_checks)
#: Name -> check of restorers.
RESTORER_CHECKS: dict[str, Check] = _checks(option_checks, restorer_checks)


@dataclass(frozen=True)
class CheckResult:
    """How one check ended.

    Parameters
    ----------
    name : str
        Key of `CHECKS` or `RESTORER_CHECKS`.
    status : str
        ``passed``, ``failed``, ``expected failure`` or ``not applicable``.
    message : str
        What was wrong, or the reason; empty where the check passed.
    """

    name: str
    status: str
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether this is no reason to worry: anything but ``failed``."""
        return self.status != "failed"


def run_checks(backend: Backend) -> list[CheckResult]:
    """Run all checks on a finder or restorer; needs no pytest.

    Examples
    --------
    >>> from astroseg import get_finder
    >>> from astroseg.testing import run_checks
    >>> all(result.ok for result in run_checks(get_finder("sigma")))
    True
    """
    if not __debug__:
        msg = "The checks are assertions, which Python -O leaves out; run them without -O."
        raise UsageError(msg)
    results = [_run(backend, name, check) for name, check in _checks_for(backend).items()]
    unknown = [CheckResult(name, "failed", "expected_failures names it, but there is no such check")
               for name in _unknown_expectations(backend)]  # fmt: skip
    return results + unknown


def parametrize_finders(*finders: SourceFinder) -> pytest.MarkDecorator:
    """Decorate a test of the arguments ``finder`` and ``check``: it runs once per finder and check.

    Expected failures of a finder's class become strict ``xfail`` marks.

    Examples
    --------
    A plugin's whole conformance test::

        @parametrize_finders(MyFinder(), MyFinder(threshold=8.0))
        def test_conformance(finder, check):
            check(finder)
    """
    return _parametrize("finder", finders)


def parametrize_restorers(*restorers: Restorer) -> pytest.MarkDecorator:
    """Decorate a test of the arguments ``restorer`` and ``check``; see `parametrize_finders`."""
    return _parametrize("restorer", restorers)


def _parametrize(argument: str, backends: tuple[Backend, ...]) -> pytest.MarkDecorator:
    import pytest  # the checks themselves run without it

    cases = []
    for backend in backends:
        if unknown := _unknown_expectations(backend):
            msg = f"expected_failures of {type(backend).__name__} names no check: {', '.join(unknown)}"
            raise ValueError(msg)
        for name, check in _checks_for(backend).items():
            reason = backend.expected_failures.get(name)
            marks = () if reason is None else (pytest.mark.xfail(reason=reason, strict=True),)
            cases.append(pytest.param(backend, check, id=f"{backend!r}-{name}", marks=marks))
    return pytest.mark.parametrize((argument, "check"), cases)


def _checks_for(backend: Backend) -> dict[str, Check]:
    return CHECKS if isinstance(backend, SourceFinder) else RESTORER_CHECKS


def _unknown_expectations(backend: Backend) -> list[str]:
    return sorted(set(backend.expected_failures) - set(_checks_for(backend)))


def _run(backend: Backend, name: str, check: Check) -> CheckResult:
    expected = backend.expected_failures.get(name)
    try:
        check(backend)
    except unittest.SkipTest as reason:
        return CheckResult(name, "not applicable", str(reason))
    except Exception as error:  # noqa: BLE001 - a check that crashes has failed, and the others go on
        if expected is not None:
            return CheckResult(name, "expected failure", expected)
        message = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return CheckResult(name, "failed", message)
    if expected is not None:
        return CheckResult(name, "failed", "it passes; remove it from expected_failures")
    return CheckResult(name, "passed")
