"""PyBDSF's options, from text and from Python."""

import subprocess
import sys

import numpy as np
import pytest
from astroseg_bdsf.options import check, option_specs, parse


def test_specs_name_type_default_and_sentence():
    specs = option_specs()
    assert specs["thresh_isl"].type == "float"
    assert specs["thresh_isl"].default == 3.0
    assert specs["rms_box"].type == "(int, int) or None"
    assert specs["thresh"].type == "None or 'hard' or 'fdr'"
    assert all(spec.doc and "\n" not in spec.doc for spec in specs.values())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("thresh_isl", "2.5", 2.5),
        ("minpix_isl", "3", 3),
        ("minpix_isl", "none", None),
        ("group_by_isl", "true", True),
        ("group_by_isl", "No", False),
        ("rms_map", "False", False),
        ("rms_map", "none", None),
        ("thresh", "fdr", "fdr"),
        ("spline_rank", "1", 1),
        ("rms_box", "60,20", (60, 20)),
        ("rms_box", "(60, 20)", (60, 20)),
        ("rms_box", "60 20", (60, 20)),
        ("beam", "1e-3;9e-4;12", (1e-3, 9e-4, 12.0)),
        ("src_ra_dec", "150.1,2.2; 150.3,2.4", [(150.1, 2.2), (150.3, 2.4)]),
    ],
)
def test_parse(name, text, value):
    parsed = parse(name, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("thresh_ils", "3", "Did you mean 'thresh_isl'?"),
        ("nonsense", "3", "PyBDSF has no option 'nonsense'."),
        ("minpix_isl", "2.5", "takes int or None, not '2.5'"),
        ("rms_box", "60", r"takes \(int, int\) or None"),
        ("thresh", "soft", "takes None or 'hard' or 'fdr'"),
        ("group_by_isl", "maybe", "takes bool"),
        ("output_all", "true", "cannot be set here: astroseg writes the files"),
        ("filename", "x.fits", "in a folder of its own"),
        ("interactive", "true", "runs unattended"),
        ("trim_box", "1,2,3,4", "cut the image"),
    ],
)
def test_parse_refuses(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse(name, text)


def test_check_casts_values_and_reads_text():
    given = {"rms_box": [60, 20], "thresh_isl": 3, "group_by_isl": "false", "thresh_pix": "4"}
    checked = check({**given, "beam": np.array([0.1, 0.1, 0]).tolist()})
    assert checked["rms_box"] == (60, 20)
    assert checked["thresh_isl"] == 3.0
    assert checked["group_by_isl"] is False
    assert checked["thresh_pix"] == 4.0
    with pytest.raises(ValueError, match="takes"):
        check({"rms_box": [60, "x"]})
    with pytest.raises(ValueError, match="cannot be set here"):
        check({"quiet": False})


def test_listing_options_does_not_import_pybdsf():
    code = (
        "import sys; from astroseg_bdsf.options import option_specs; option_specs();"
        "print([m for m in sys.modules if m.split('.')[0] in {'bdsf', 'matplotlib', 'scipy'}])"
    )
    code = f"import sys; sys.path[:] = {sys.path}; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
