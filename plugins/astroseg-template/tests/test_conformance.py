"""The promises that every finder of astroseg keeps."""

from astroseg_template.finder import TemplateFinder

from astroseg.testing import parametrize_finders


@parametrize_finders(TemplateFinder(), TemplateFinder(threshold=6.0, neighbours=0))
def test_conformance(finder, check):
    check(finder)
