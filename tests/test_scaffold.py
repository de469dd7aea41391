"""``astroseg new-plugin`` makes a package that installs, is listed, and passes its tests."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from astroseg import AstrosegError
from astroseg.errors import UsageError
from astroseg.scaffold import _render, new_plugin

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "astroseg-template"
LEFT_BY_TOOLS = {"__pycache__", "build", ".pytest_cache", ".ruff_cache"}


def contents(folder):
    """Text of every file by its path, without what installing and testing leave behind."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and not any(part in LEFT_BY_TOOLS or part.endswith(".egg-info") for part in path.parts)
    }


def test_example_plugin_is_what_the_command_makes(tmp_path):
    _render(tmp_path, "template")  # new_plugin refuses the name where the example is installed
    made, kept = contents(tmp_path), contents(EXAMPLE)
    assert sorted(made) == sorted(kept)
    for path, text in made.items():
        assert text == kept[path], f"{path} differs: change it in astroseg/template, and make the example again"


def test_every_name_is_replaced(tmp_path):
    path = new_plugin("k-sigma", tmp_path)
    assert path == tmp_path / "astroseg-k-sigma"
    files = contents(path)
    assert "src/astroseg_k_sigma/finder.py" in files
    assert {".gitignore", ".github/workflows/tests.yml", "LICENSE", "README.md", "pyproject.toml"} <= set(files)
    assert "template" not in "".join(files.values()).lower()
    assert 'register("k-sigma", "astroseg_k_sigma.finder:KSigmaFinder"' in files["src/astroseg_k_sigma/__init__.py"]
    assert 'name = "astroseg-k-sigma"' in files["pyproject.toml"]
    assert [path.name for path in tmp_path.iterdir()] == ["astroseg-k-sigma"]


@pytest.mark.parametrize("name", ["", "My", "2nd", "a_b", "a--b", "-a", "a-", "a/b", "../a", "astroseg", "astroseg-a"])
def test_bad_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="name"):
        new_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("sigma", "taken, by astroseg;"),
        ("bdsf", "taken, by astroseg"),
        ("pixel", "called PixelFinder"),
        ("source", "called SourceFinder"),
    ],
)
def test_name_that_would_clash_is_refused(tmp_path, name, fragment):
    with pytest.raises(UsageError, match=fragment):
        new_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_refused(tmp_path):
    (tmp_path / "astroseg-demo").mkdir()
    with pytest.raises(AstrosegError, match="exists already"):
        new_plugin("demo", tmp_path)


def test_missing_parent_is_one_line(tmp_path):
    with pytest.raises(AstrosegError, match=r"Cannot write .*No such file or directory\."):
        new_plugin("demo", tmp_path / "nowhere")


def pip(command, package, folder):
    """Build a package offline, with the setuptools that is here."""
    pytest.importorskip("setuptools", minversion="77", reason="a package is built here without build isolation")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    where = {"install": "--target", "wheel": "--wheel-dir"}[command]
    subprocess.run([sys.executable, "-m", "pip", command, *options, where, folder, package], check=True)


def test_wheel_of_astroseg_holds_the_template(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "astroseg", source / "astroseg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", source, tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name.removeprefix("astroseg/template/") for name in wheel.namelist() if "/template/" in name}
    assert names == set(contents(ROOT / "astroseg" / "template"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A generated package, and an environment in which it is installed."""
    package = new_plugin("demo-two", tmp_path_factory.mktemp("made"))
    site = tmp_path_factory.mktemp("site")
    pip("install", package, site)
    return package, os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}


def test_made_package_is_listed(installed):
    code = (
        "from astroseg.plugins import registrations\n"
        "print(*[(e.name, e.package, e.version, e.ok) for e in registrations('finder')], sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], env=installed[1], check=True, capture_output=True, text=True)
    assert "('demo-two', 'astroseg-demo-two', '0.1.0', True)" in run.stdout.splitlines()


def test_made_package_passes_its_tests(installed):
    package, environment = installed
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=package, env=environment, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
