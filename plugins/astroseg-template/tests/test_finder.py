"""What this finder does, and no other."""

import numpy as np
import pytest
from astroseg_template.finder import TemplateFinder

from astroseg import get_finder
from astroseg.errors import UsageError
from astroseg.testing import make_field


def score(image, **options):
    """Scores of one image that is in units of its noise already."""
    return TemplateFinder(**options).predict(np.array([image], dtype="f4"))[0]


def test_a_lone_bright_pixel_is_no_source():
    image = np.zeros((9, 9))
    image[4, 4] = 100
    assert score(image).sum() == 0
    assert score(image, neighbours=0).sum() == 1


def test_a_block_of_bright_pixels_is_a_source():
    image = np.zeros((9, 9))
    image[3:6, 3:6] = 5
    # A corner of the block has three neighbours, an edge five.
    assert score(image, neighbours=3).sum() == 9
    assert score(image, neighbours=5).sum() == 5
    assert score(image, threshold=5.0).sum() == 0


def test_finds_the_sources_of_a_field():
    image, truth = make_field(snr=(20, 100))
    found = TemplateFinder().find(image)
    assert len(found) == len(truth)


def test_astroseg_knows_it_by_name():
    assert get_finder("template", threshold=6).threshold == 6
    with pytest.raises(UsageError, match="neighbours"):
        get_finder("template", neighbours=9)
