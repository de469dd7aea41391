"""The conformance kit for plugin authors, and small synthetic fields.

A finder that passes `CHECKS` keeps the promises that users of astroseg rely on. The whole test file
of a plugin::

    from astroseg.testing import parametrize_finders

    @parametrize_finders(MyFinder(), MyFinder(threshold=8.0))
    def test_conformance(finder, check):
        check(finder)

A check that is known to fail is declared in the class, with the reason, and must then fail::

    expected_failures = {"rotated_image": "the network was trained on one orientation only"}
"""

from astroseg.testing.fields import make_field, reread
from astroseg.testing.runner import (
    CHECKS,
    RESTORER_CHECKS,
    CheckResult,
    parametrize_finders,
    parametrize_restorers,
    run_checks,
)

__all__ = [
    "CHECKS",
    "RESTORER_CHECKS",
    "CheckResult",
    "make_field",
    "parametrize_finders",
    "parametrize_restorers",
    "reread",
    "run_checks",
]
