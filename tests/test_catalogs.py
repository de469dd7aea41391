"""The shipped fields are what their recorded commands make."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astroseg import read_catalog
from astroseg.cli import main

FOLDER = Path(__file__).parents[1] / "catalogs"
COMMANDS = dict(re.findall(r"^\| `([\w-]+)` \| `astroseg ([^`]+)`", (FOLDER / "README.md").read_text(), re.MULTILINE))


def test_every_field_has_its_command():
    assert {path.name.partition(".")[0] for path in FOLDER.glob("*.fits")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_field_is_what_its_command_makes(name, tmp_path, monkeypatch):
    if " optical " in COMMANDS[name]:
        pytest.importorskip("galsim")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(COMMANDS[name]))
    assert stop.value.code == 0
    made = tmp_path / "catalogs"
    for end in (".fits", ".model.fits", ".truth.labels.fits"):
        shipped, fresh = (fits.getdata(folder / f"{name}{end}") for folder in (FOLDER, made))
        np.testing.assert_allclose(fresh, shipped, rtol=1e-5, atol=1e-12, err_msg=end)
    shipped, fresh = (read_catalog(folder / f"{name}.truth.ecsv") for folder in (FOLDER, made))
    assert fresh.meta == shipped.meta
    np.testing.assert_allclose(fresh["flux"].value, shipped["flux"].value)
