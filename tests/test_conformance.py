"""The finders of the core pass the kit that plugins are asked to pass."""

from astroseg.testing import parametrize_finders
from astroseg.threshold import OtsuFinder, PeaksFinder, SigmaFinder, TriangleFinder, YenFinder


@parametrize_finders(
    SigmaFinder(),
    SigmaFinder(threshold=8.0, flood=2.0, min_pixels=1, connectivity=4),
    SigmaFinder(deblend=True),
    PeaksFinder(),
    PeaksFinder(matched_filter=True),
    YenFinder(),
    YenFinder(transform="raw", min_pixels=4),
    OtsuFinder(),
    TriangleFinder(),
    TriangleFinder(n_bins=64, min_pixels=9),
)
def test_conformance(finder, check):
    check(finder)
