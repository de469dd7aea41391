"""The snippets of each page run in a folder of their own, with the shipped fields where they are in a checkout."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "catalogs").symlink_to(ROOT / "catalogs")
    monkeypatch.chdir(tmp_path)
