"""The promises that every finder of astroseg keeps."""

from astroseg_sep.finder import SepFinder

from astroseg.testing import parametrize_finders


@parametrize_finders(
    SepFinder(),
    SepFinder(preset="cold"),
    SepFinder(preset="hot", kernel="beam", mesh=32),
    SepFinder(kernel="none", filter_type="matched", clean=False),
)
def test_conformance(finder, check):
    check(finder)
