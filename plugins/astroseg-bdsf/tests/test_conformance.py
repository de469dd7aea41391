"""The conformance kit."""

from astroseg_bdsf.finder import BDSFFinder

from astroseg.testing import parametrize_finders


@parametrize_finders(BDSFFinder())
def test_conformance(finder, check):
    check(finder)
